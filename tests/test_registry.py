"""What is registered: held to the functions, and the recipes to the settings there are."""

import inspect

import pytest

from gradreg import registry
from gradreg.planning.checks import schema, training

GIVEN = {
    "models": {"image_shape", "classes"},
    "objectives": {"forward", "params", "x", "y", "p", "eps", "draw"},
    "attacks": {"network", "x", "y", "p", "eps"},
}


@pytest.mark.parametrize(("section", "kind"), [(s, kind) for s in GIVEN for kind in registry.section(s)])
def test_what_is_registered_are_the_settings_of_the_function(section, kind):
    """No more and no fewer, with the function's own defaults."""
    settings = registry.lookup(section, kind).get("settings", {})
    parameters = inspect.signature(registry.function(section, kind)).parameters
    assert settings.keys() - {"distribution"} == parameters.keys() - GIVEN[section]
    for name, own in settings.items():
        if name != "distribution":
            default = parameters[name].default
            default = list(default) if isinstance(default, tuple) else default
            assert own.get("default", inspect.Parameter.empty) == default


def test_a_package_that_is_not_installed_is_told_with_the_command_that_does_it(monkeypatch):
    monkeypatch.setattr("gradreg.registry.importlib.util.find_spec", lambda name: None)
    told = "fmn needs the package secmlt: pip install -e '.[minimum-norm]' -c constraints.txt"
    assert registry.missing("attacks", "fmn") == told
    assert registry.missing("attacks", "apgd_ce") is None


def test_registrations_that_are_not_as_they_should_be(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    for text, message in (
        ("net: {description: none}", "gradreg/registry/models.yaml: net: 'function' is missing"),
        ("net: nothing", "gradreg/registry/models.yaml: net: 'function' is missing"),
        ("my-net: {function: a.b}", "gradreg/registry/models.yaml: 'my-net' is no name; use small letters"),
        ("net: {function: a.b", "gradreg/registry/models.yaml: while parsing a flow mapping"),
    ):
        (tmp_path / "models.yaml").write_text(text)
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message follows
            registry.section.__wrapped__("models")
        assert str(caught.value).startswith(message)
        assert "\n" not in str(caught.value)


def test_recipes_have_the_settings_of_the_schema():
    properties = schema()["$defs"]["training"]["properties"].keys() - {"recipe"}
    for name, recipe in registry.section("recipes").items():
        assert recipe["settings"].keys() <= properties
        assert training({"recipe": name}).keys() == properties


def test_what_is_written_goes_over_a_recipe_wherever_it_is_named():
    layers = {"lr": 0.3}, {"recipe": "maxout-mnist-dense", "epochs": 7}, {"momentum": 0.6}
    found = training(*layers)
    assert (found["lr"], found["epochs"], found["momentum"]) == (0.3, 7, 0.6)
    assert (found["lr_schedule"], found["momentum_end"], found["weight_decay"]) == ("exponential", 0.7, 0.0)
    assert training(*reversed(layers)) == found
    assert training({"recipe": "maxout-mnist-dense"}, {"recipe": "one-cycle"}) == training()
