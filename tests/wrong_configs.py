"""Changes of a config that are mistakes, and a part of the line that tells each."""

from configs import PENALTY

CONV = {
    "kind": "conv_maxout",
    "channels": [4, 4],
    "pieces": [2, 2],
    "kernels": [3, 3],
    "padding": [1, 1],
    "pool": [2, 2],
    "stride": [2, 2],
}
WORST = {"kind": "worst_norm"}
BY = {"n_train": 900, "n_validation": 300}
MISTAKES = [
    (
        {"objectives": {"o": {"kind": "perturb", "eps": {"1+2": [[1, 1]]}}}},
        "o.kind: perturb takes one norm at a time, not",
    ),
    (
        {"objectives": {"o": WORST | {"eps": {"1+2": [[1, 1, 1]]}}}},
        "o.eps.1+2[0]: [1, 1, 1] has 3 values for the 2 norms",
    ),
    (
        {"objectives": {"o": WORST | {"eps": {"1+2": [3]}}}},
        "o.eps.1+2[0]: 3 has 1 values for the 2 norms of 1+2; write",
    ),
    ({"objectives": {"o": WORST | {"eps": {"1+2": [["a", 1]]}}}}, "o.eps.1+2[0]: 'a' is not a number; write 0.1"),
    ({"objectives": {"o": WORST | {"eps": {"1+2": [[0, 1]]}}}}, "o.eps.1+2[0]: eps must be positive and finite, not 0"),
    ({"objectives": {"o": WORST | {"eps": {"1+2": [[1, 1], ["1.0", 1]]}}}}, "o.eps.1+2[1]: ['1.0', 1] is listed twice"),
    ({"objectives": {"o": WORST | {"eps": {"1+2": [[1, 1]], "2+1": [[1, 1]]}}}}, "o.eps: p = 1+2 is listed twice"),
    ({"objectives": {"o": WORST | {"eps": {"2+2": [[1, 1]]}}}}, "o.eps: 2+2 has a norm twice"),
    ({"objectives": {"o": WORST | {"eps": {"1+two": [[1, 1]]}}}}, "o.eps: 'two' is not a norm"),
    ({"objectives": {"o": WORST | {"eps": {"0.5+2": [[1, 1]]}}}}, "o.eps: p = 0.5 is not a norm; p is a number from 1"),
    ({"objectives": {"o": WORST | {"eps": {"1+inf": [[1, 2]]}}}}, "eps.1+inf[0]: eps = 2 is longer than the whole box"),
    (
        {"objectives": {"o": WORST | {"steps": 2, "eps": {"1.5+2": [[1, 1]]}}}},
        "o.steps: several steps in several norms need p = 1, 2 or inf, not 1.5; take steps: 1",
    ),
    (
        {"objectives": {"o": WORST | {"eps": {"+".join(map(str, range(1, 45))): [[1] * 44]}}}},
        "o.eps: 1+2+3+4+5+6+7+8+9+10... has 122 characters; 100 are the most",
    ),
    ({"attack": {"eps": {"1+2": [1]}}}, "sweep[0].attack.eps: '1+2' is not a norm; write a number from 1 up, or inf"),
    (
        {"selection": BY | {"by": {"attack": "multi_step", "p": [1, 2], "eps": 1}}},
        "'eps': 1} is not error, or a block with",
    ),
    (
        {"selection": BY | {"by": {"attack": "multi_step", "p": {1: 2}, "eps": 1}}},
        "'eps': 1} is not error, or a block with",
    ),
    ({"selection": BY | {"by": "robust"}}, "selection.by: 'robust' is not error, or a block with attack, p and eps"),
    (
        {"selection": BY | {"by": {"attack": "apgd", "p": 2, "eps": 0.5}}},
        "selection.by.attack: apgd is not run on every network; take multi_step, one_step",
    ),
    (
        {"selection": BY | {"by": {"attack": "multi_step", "p": 1, "eps": 1}}},
        "selection.by.p: p = 1 is not attacked; take",
    ),
    (
        {"selection": BY | {"by": {"attack": "multi_step", "p": 2, "eps": 1}}},
        "selection.by.eps: eps = 1 is not among those of the attack at p = 2: 0.5",
    ),
    ({"objectives": {"o": {"kind": "perturb", "differentiate": 1}}}, "o.differentiate: 1 is not true or false"),
    ({"n_train": [1297, "all"]}, "sweep[0].n_train: [1297, 'all'] names a number twice; all is 1297"),
    (
        {"objectives": {"cure": {"kind": "curvature", "h": {2: 0.1, 1: 0.1}}}},
        "sweep[0].objectives.cure.h.1: there is no eps for p = 1",
    ),
    (
        {"objectives": {"cure": {"kind": "curvature", "h": {2: 1e-9}}}},
        "cure.h.2: h = 0.000000001 is lost in single precision; take 0.0001 or more",
    ),
    (
        {"objectives": {"cure": {"kind": "curvature", "h": {2: [0.1, 0.2]}}}},
        "sweep[0].objectives.cure.h.2: ['0.1', '0.2'] is not one number per p",
    ),
    ({"objectives": {"cure": {"kind": "curvature", "h": {"two": 0.1}}}}, "cure.h: 'two' is not a norm"),
    ({"selection": {"n_train": 0.9999, "n_validation": 300}}, "n_train + n_validation = 1596 is more than the 1297"),
    (
        {"objectives": {"gp": PENALTY | {"alpha": 0.5}}},
        "sweep[0].objectives.gp.alpha: kind penalty has no such setting; it has power, space, eps, train",
    ),
    (
        {"objectives": {"pgd": {"kind": "adversarial"}}},
        "sweep[0].objectives.pgd: 'steps' is missing (ascent steps per training step)",
    ),
    ({"objectives": {"gp": PENALTY | {"power": 3}}}, "sweep[0].objectives.gp.power: 3 is none of 1, 2"),
    (
        {"objectives": {"cure": {"kind": "curvature", "h": {2: 0.5}, "eps": {2: [1], 3: [1]}}}},
        "sweep[0].objectives.cure.h: no h for p = 3",
    ),
    (
        {"objectives": {"cure": {"kind": "curvature", "h": {2: 0}}}},
        "sweep[0].objectives.cure.h.2: h must be positive and finite, not 0",
    ),
    (
        {"objectives": {"fd": {"kind": "finite_difference", "h": {2: 9}}}},
        "sweep[0].objectives.fd.h.2: h = 9 is longer than the whole box",
    ),
    (
        {"objectives": {"pgd": {"kind": "adversarial", "steps": 3, "start": 2}}},
        "sweep[0].objectives.pgd.start: a start further than eps is outside the ball",
    ),
    (
        {"objectives": {"pgd": {"kind": "adversarial", "steps": 3, "step": 1, "eps": {1.5: [0.1]}}}},
        "sweep[0].objectives.pgd.step: for p = 1.5 the ascent is by Frank-Wolfe, which has none",
    ),
    (
        {"objectives": {"far": {"kind": "trades", "steps": 3, "eps": {3: [0.1]}}}},
        "sweep[0].objectives.far.kind: trades starts at random, which ascent for p = 3 cannot; take p = 1, 2 or inf",
    ),
    (
        {"objectives": {"far": {"kind": "trades", "steps": 3, "start": 0}}},
        "sweep[0].objectives.far.start: 0 must be more than 0",
    ),
    (
        {"objectives": {"flat": {"kind": "sam", "train": {"precision": "bfloat16"}}}},
        "sweep[0].objectives.flat.kind: precision: bfloat16 rounds steps of the weights away; use float32",
    ),
    (
        {"objectives": {"fgsm": {"kind": "perturb", "eps": {"inf": [1.5]}}}},
        "sweep[0].objectives.fgsm.eps.inf[0]: eps = 1.5 is longer than the whole box [0, 1]^64 at p = inf (1)",
    ),
    (
        {"objectives": {"fd": {"kind": "finite_difference", "h": {2: 0.01}, "train": {"precision": "bfloat16"}}}},
        "fd.h.2: 0.01 is too short a step for precision: bfloat16, which rounds it away; take 0.031 or more at p = 2",
    ),
    (
        {"train": {"precision": "bfloat16"}, "eps": {2: [0.1], "inf": [0.003]}},
        "sweep[0].eps.inf[0]: 0.003 is too short a step for precision: bfloat16",
    ),
    (
        {"train": {"precision": "tf32"}, "eps": {1: [0.1, 0.003]}},
        "sweep[0].eps.1[1]: 0.003 is too short a step for precision: tf32, which rounds it away; take 0.0039 or more",
    ),
    ({"train": {"epoch": 3}}, "sweep[0].train.epoch: unknown key; did you mean 'epochs'?"),
    ({"train": {"lr": "fast"}}, "sweep[0].train.lr: 'fast' is not a number"),
    ({"train": {"epochs": 2.5}}, "sweep[0].train.epochs: 2.5 is not a whole number"),
    ({"train": {"momentum": 1}}, "sweep[0].train.momentum: 1 must be less than 1"),
    ({"train": {"min_steps": -1}}, "sweep[0].train.min_steps: -1 must be at least 0"),
    ({"selection": None}, "'selection' is missing (the runs among which"),
    ({"dataset": "minst"}, "sweep[0].dataset: 'minst' is none of digits, mnist, cifar10; did you mean 'mnist'?"),
    ({"eps": {2: [0.1, "0.10"]}}, "sweep[0].eps.2[1]: 0.10 is the same number as 0.1"),
    ({"eps": {"inf": [8_255]}}, "(8_255 is the number 8255; a fraction is 8/255)"),
    ({"eps": {0.5: [1]}}, "sweep[0].eps: p = 0.5 is not a norm; p is a number from 1 up, or inf"),
    ({"eps": {"two": [1]}}, "sweep[0].eps: 'two' is not a norm"),
    ({"eps": {2: [0]}}, "eps must be positive and finite, not 0; eps = 0 is the baseline"),
    ({"eps": {2: ["1,5"]}}, "sweep[0].eps.2[0]: '1,5' is not a number; write 0.1, 1e-3 or 8/255"),
    ({"eps": {2: [float("inf")]}}, "eps must be positive and finite"),
    ({"eps": {2: [1], "2.0": [2]}}, "sweep[0].eps: p = 2 is listed twice"),
    ({"eps": {2: 0.1}}, "sweep[0].eps.2: '0.1' is not a list"),
    ({"eps": [0.1]}, "sweep[0].eps: [0.1] is not a block of keys"),
    ({"models": {"net": {"kind": "maxout", "units": [8]}}}, "sweep[0].models.net: 'pieces' is missing"),
    (
        {"models": {"net": {"kind": "sigmoid_mlp", "units": [8], "pieces": 2}}},
        "net.pieces: kind sigmoid_mlp has no such",
    ),
    ({"models": {"My net": {"kind": "sigmoid_mlp", "units": [8]}}}, "'My net' is no name; use small letters"),
    ({"n_test": 501}, "sweep[0].n_test: 501 is more than the 500 test images"),
    ({"seeds": True}, "sweep[0].seeds: true, as YAML reads this, is not a whole number"),
    ({"dataset": True}, "sweep[0].dataset: True is none of"),
    ({"n_test": "some"}, "sweep[0].n_test: 'some' is not a number from 1 up, or 'all'"),
    ({"train": {"recipe": "maxout-mnist"}}, "train.recipe: 'maxout-mnist' is none of one-cycle, maxout-mnist-dense"),
    ({"train": {"lr_decay": 1.1}}, "sweep[0].train.lr_decay: counts only with lr_schedule: exponential"),
    ({"train": {"max_norm": [1, 2, 3]}}, "sweep[0].train.max_norm: max_norm has 3 values, but net 2 layers with"),
    ({"train": {"max_norm": "wide"}}, "train.max_norm: 'wide' is not a number above 0, a list of them (one for each"),
    (
        {"train": {"recipe": "maxout-mnist-conv", "retrain": "none"}},
        "sweep[0].train.recipe: max_norm has 4 values, but net 2 layers with weights",
    ),
    ({"train": {"beta2": 0.9}}, "sweep[0].train.beta2: counts only with optimizer: adamw"),
    ({"train": {"optimizer": "adamw", "nesterov": True}}, "sweep[0].train.nesterov: counts only with optimizer: sgd"),
    ({"train": {"optimizer": "adam"}}, "sweep[0].train.optimizer: 'adam' is none of sgd, adamw; did you mean 'adamw'?"),
    ({"train": {"momentum_epochs": 5}}, "sweep[0].train.momentum_epochs: counts only with momentum_end: a number"),
    ({"train": {"lr_factors": 0.5}}, "sweep[0].train.lr_factors: 0.5 is not a list or null"),
    (
        {"train": {"patience": 3, "eps_warmup": 0.5}},
        "sweep[0].train.eps_warmup: eps_warmup is a share of all epochs, and a patience may end them before",
    ),
    ({"train": {"retrain": "fresh"}}, "sweep[0].train.retrain: retrain: fresh needs a patience; or take retrain: none"),
    (
        {"train": {"retrain": "continue", "patience": 3}},
        "sweep[0].train.retrain: retrain: continue needs lr_schedule: exponential or constant",
    ),
    (
        {"train": {"patience": 3}, "n_train": 300},
        "sweep[0].train.patience: patience holds out 300 of the training images, and there are no more",
    ),
    (
        {"models": {"net": {"kind": "preact_resnet", "train": {"lr_factors": [1, 1]}}}},
        "sweep[0].models.net.train.lr_factors: lr_factors: a preact_resnet takes one number for all layers",
    ),
    ({"models": {"net": CONV | {"pool": [2]}}}, "sweep[0].models.net.pool: has 1 values, channels 2: one for each"),
    ({"models": {"net": CONV | {"channels": [4, "many"]}}}, "models.net.channels[1]: 'many' is not a whole number"),
    ({"models": {"net": {"units": [8]}}}, "sweep[0].models.net: 'kind' is missing"),
    (
        {"models": {"net": {"kind": "mlp"}}},
        "net.kind: 'mlp' is none of sigmoid_mlp, maxout, conv_maxout, preact_resnet",
    ),
    (
        {"objectives": {"o": {"kind": "perturb", "space": "whitened"}}},
        "sweep[0].objectives.o.space: model net whitens nothing; give it input: whitened",
    ),
    (
        {"objectives": {"o": {"kind": "perturb", "box": "exact", "differentiate": True}}},
        "sweep[0].objectives.o.box: steps in the box are held constant; leave out differentiate",
    ),
    (
        {
            "models": {"net": {"kind": "sigmoid_mlp", "units": [8], "input": "whitened"}},
            "objectives": {"o": {"kind": "perturb", "box": "clipped", "space": "whitened"}},
        },
        "sweep[0].objectives.o.box: whitened images have no box",
    ),
    (
        {"objectives": {"o": {"kind": "adversarial", "steps": 1, "direction": 2, "eps": {1.5: [0.1]}}}},
        "sweep[0].objectives.o.direction: for p = 1.5 the ascent is by Frank-Wolfe, which has none",
    ),
    (
        {"attack": {"eps": {2: [1]}, "others": {"multi-step": {"kind": "random"}}}},
        "others.multi-step: this name is taken by what is always",
    ),
    (
        {"attack": {"eps": {2: [1]}, "others": {"none": {"kind": "random"}}}},
        "others.none: this name is taken by what is always",
    ),
    (
        {"attack": {"eps": {2: [1]}, "others": {"a": {"kind": "one_step"}}}},
        "a.kind: 'one_step' is none of targeted, random, apgd_ce",
    ),
    ({"attack": {"eps": {2: [1]}, "others": {"a": {"kind": "fmn"}}}}, "a.kind: fmn has no eps; name it under strong"),
    ({"attack": {"eps": {3: [1]}, "others": {"a": {"kind": "square"}}}}, "a.kind: square does not know p = 3; name it"),
    ({"attack": {"eps": {2: [1]}, "strong": {"a": {"attacks": ["nope"]}}}}, "a.attacks[0]: 'nope' is none of one_step"),
    (
        {"attack": {"eps": {2: [1]}, "strong": {"a": {"attacks": ["multi_step"]}}}},
        "multi_step has settings that must be",
    ),
    (
        {"attack": {"eps": {2: [1]}, "strong": {"a": {"attacks": ["fmn", "apgd_t"]}}}},
        "fmn has no eps, and stands alone",
    ),
    (
        {"attack": {"eps": {3: [1]}, "strong": {"a": {"attacks": ["apgd_t"]}}}},
        "no norm under attack.eps is known to apgd_t",
    ),
    (
        {"attack": {"eps": {2: [1]}, "strong": {"a": {"attacks": ["apgd_t"], "eps": {"inf": 0.1}}}}},
        "a.eps: p = inf is not attacked, or not known to apgd_t",
    ),
    (
        {"attack": {"eps": {2: [1]}, "others": {"a": {"kind": "random"}}, "strong": {"a": {"attacks": ["targeted"]}}}},
        "strong.a: there is another attack of this name",
    ),
    ({"attack": {"eps": {2: [1]}, "noise": {"gaussian": [-1]}}}, "noise.gaussian[0]: must be positive, not -1"),
    ({"attack": {"eps": {2: [1]}, "noise": {"salt": [1]}}}, "noise.salt: unknown key"),
    ({"attack": {"eps": {2: [1]}, "strong": {"multi_step": {"attacks": ["targeted"]}}}}, "'multi_step' is no name"),
    ({"transfer": {"eps": {"inf": 0.1}}}, "transfer.eps: p = inf is not among the attacked norms"),
    ({"attack": {"eps": {2: [1]}, "others": {"a": {"kind": "random", "draws": 0}}}}, "draws: 0 must be at least 1"),
    ({"selection": {"n_train": 1000, "n_validation": 300}}, "the validation images would be trained on"),
    ({"n_train": 900}, "sweep[0] evaluates runs of 900 images on the test set; take another number"),
    ({"eps": {2: [8_255]}}, "sweep[0].eps.2[0]: eps = 8255 is longer than the whole box [0, 1]^64 at p = 2 (8)"),
    ({"eps": {2: ["1e400"]}}, "sweep[0].eps.2[0]: '1e400' is not a number"),
    ({"train": {"lr": "1e400"}}, "sweep[0].train.lr: inf is not a finite number"),
    ({"eps": {2: None}}, "sweep[0].eps.2: is empty; give it a value or remove the line"),
    ({"baseline": {False: {}}}, "sweep[0].baseline: YAML reads this as false; put quotes around off, on, no and yes"),
    ({"n_train": 5000}, "sweep[0].n_train: 5000 is more than the 1297 training images of digits"),
    ({"n_train": [100, 2000]}, "sweep[0].n_train: 2000 is more than the 1297 training images of digits"),
    ({"n_train": [100, 100]}, "sweep[0].n_train: [100, 100] is not a number from 1 up, 'all', or a list of these"),
    ({"selection": {"n_train": "6/5", "n_validation": 300}}, "sweep[0].selection.n_train: 6/5 is not a share below 1"),
    ({"n_train": 1, "selection": {"n_train": 0.5, "n_validation": 300}}, "selection.n_train: 0.5 of 1 images is none"),
    (
        {"n_train": [100, 200], "selection": {"n_train": "1/2", "n_validation": 300}},
        "sweep[0] evaluates runs of 100 images on the test set; take another number",
    ),
    ({"n_train": "some"}, "sweep[0].n_train: 'some' is not a number from 1 up, 'all', or a list of these"),
    ({"objectives": {"plain": {"kind": "perturb"}}}, "sweep[0].objectives.plain: the baseline has a setting of"),
    ({"objectives": {"x": {"kind": "perturb", "alpha": 1}}}, "alpha: 1 must be less than 1"),
    ({"gallery": {"eps": {1: 2}}}, "sweep[0].gallery.eps: p = 1 is not among the attacked norms"),
    ({"gallery": {"classes": [3, 12]}}, "sweep[0].gallery.classes: digits has no class 12"),
    ({"attack": {"eps": {2: []}}}, "sweep[0].attack.eps.2: is empty; it needs at least one entry"),
    ({"train": {"lr": float("inf")}}, "sweep[0].train.lr: inf is not a finite number"),
]
