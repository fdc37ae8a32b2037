"""Registrations match their functions, and recipes the settings of the schema."""

import inspect
from dataclasses import fields

import pytest

from gradreg import registry
from gradreg.planning.entries import recipe
from gradreg.planning.schema import schema
from gradreg.planning.specs import Recipe

GIVEN = {
    "models": {"image_shape", "classes"},
    "objectives": {"forward", "params", "x", "y", "p", "eps", "draw"},
    "attacks": {"network", "x", "y", "p", "eps"},
}


@pytest.mark.parametrize(("section", "kind"), [(s, kind) for s in GIVEN for kind in registry.section(s)])
def test_registered_settings_are_those_of_the_function(section, kind):
    """No more and no fewer, with the same defaults."""
    settings = registry.lookup(section, kind).get("settings", {})
    parameters = inspect.signature(registry.function(section, kind)).parameters
    assert settings.keys() - {"distribution"} == parameters.keys() - GIVEN[section]
    for name, setting in settings.items():
        if name != "distribution":
            default = parameters[name].default
            default = list(default) if isinstance(default, tuple) else default
            assert setting.get("default", inspect.Parameter.empty) == default


def test_the_message_for_a_missing_package_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("gradreg.registry.importlib.util.find_spec", lambda name: None)
    message = "fmn needs the package secmlt: pip install -e '.[minimum-norm]' -c constraints.txt"
    assert registry.missing("attacks", "fmn") == message
    assert registry.missing("attacks", "apgd_ce") is None


def test_invalid_registrations_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    for text, message in (
        ("net: {description: none}", "gradreg/registry/models.yaml: net: 'function' is missing"),
        ("net: nothing", "gradreg/registry/models.yaml: net: 'function' is missing"),
        ("my-net: {function: a.b}", "gradreg/registry/models.yaml: 'my-net' is no valid name; use small letters"),
        ("net: {function: a.b", "gradreg/registry/models.yaml: while parsing a flow mapping"),
    ):
        (tmp_path / "models.yaml").write_text(text)
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message follows
            registry.section.__wrapped__("models")
        assert str(caught.value).startswith(message)
        assert "\n" not in str(caught.value)


def test_recipes_have_the_settings_of_the_schema():
    properties = schema()["$defs"]["training"]["properties"].keys() - {"recipe"}
    assert {field.name for field in fields(Recipe)} == properties
    for name, registered in registry.section("recipes").items():
        assert registered["settings"].keys() <= properties
        assert isinstance(recipe({"recipe": name}), Recipe)


def test_settings_override_their_recipe_in_any_order():
    layers = {"lr": 0.3}, {"recipe": "maxout-mnist-dense", "epochs": 7}, {"momentum": 0.6}
    whole = recipe(*layers)
    assert (whole.lr, whole.epochs, whole.momentum) == (0.3, 7, 0.6)
    assert (whole.lr_schedule, whole.momentum_end, whole.weight_decay) == ("exponential", 0.7, 0.0)
    assert recipe(*reversed(layers)) == whole
    assert recipe({"recipe": "maxout-mnist-dense"}, {"recipe": "one-cycle"}) == recipe()
