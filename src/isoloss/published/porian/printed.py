"""Numbers of Porian et al. 2024 that stand in no data file: what the paper prints, and two earlier runs.

The paper's numbers are from its table 1, figure 1 and text (arXiv:2406.19146), by way of secondary sources. `ACCURACY`
is what the released function of accuracy against cost gives on the released points (seed 42); `SENSITIVITY` is the
exponent a under two rules of seed noise, run with another noise stream than here.
"""

from typing import NamedTuple


class Printed(NamedTuple):
    """One printed number of a configuration, of the sweep or of a reference, and its interval if printed."""

    config: str
    quantity: str
    value: float
    low: float | None = None
    high: float | None = None


class Accuracy(NamedTuple):
    """The exponent a from the first `budgets` budgets: their cost in FLOPs, a, its interval, its draws' error."""

    budgets: int
    cost: float
    exponent: float
    low: float
    high: float
    error: float


PRINTED: tuple[Printed, ...] = (
    Printed("rw_1_kaplan_repro", "a (Table 1)", 0.835, 0.82, 0.85),
    Printed("rw_2_last_layer_flops", "a (Table 1)", 0.706, 0.69, 0.72),
    Printed("rw_3_warmup", "a (Table 1)", 0.602, 0.59, 0.62),
    Printed("rw_4_cosine", "a (Table 1)", 0.571, 0.56, 0.59),
    Printed("rw_5_tuned", "a (Table 1)", 0.497, 0.49, 0.5),
    Printed("owt2_1_kaplan_repro", "a (Table 1)", 0.864, 0.82, 0.9),
    Printed("owt2_2_last_layer_flops", "a (Table 1)", 0.699, 0.66, 0.72),
    Printed("owt2_3_warmup", "a (Table 1)", 0.603, 0.57, 0.63),
    Printed("owt2_4_cosine", "a (Table 1)", 0.574, 0.54, 0.61),
    Printed("owt2_5_tuned", "a (Table 1)", 0.518, 0.49, 0.54),
    Printed("rw_kaplan_tuned_longwarmup", "a (text; of the June 2024 release)", 0.717),
    Printed("rw_1_kaplan_repro", "N*(5.88e23) (Fig. 1)", 3000000000000.0),
    Printed("rw_2_last_layer_flops", "N*(5.88e23) (Fig. 1)", 787000000000.0),
    Printed("rw_3_warmup", "N*(5.88e23) (Fig. 1)", 292000000000.0),
    Printed("rw_4_cosine", "N*(5.88e23) (Fig. 1)", 183000000000.0),
    Printed("rw_5_tuned", "N*(5.88e23) (Fig. 1)", 77000000000.0),
    Printed("rw_3_warmup", "R2 of a fit", 0.993),
    Printed("rw_4_cosine", "R2 of a fit", 0.998),
    Printed("rw_5_tuned", "loss fit A", 128.93),
    Printed("rw_5_tuned", "loss fit exponent", -0.106),
    Printed("rw_5_tuned", "loss fit E", 2.01),
    Printed("sweep", "BS = c N^e, c (sequences of 2048 tokens)", 0.00037),
    Printed("sweep", "BS exponent (R2 0.986)", 0.703),
    Printed("sweep", "LR = c N^e, c", 3.7),
    Printed("sweep", "LR exponent (R2 0.997)", -0.36),
    Printed("rw_5_tuned", "total FLOPs of a fixed-schedule experiment", 1.54e20),
    Printed("4_cosine", "total FLOPs of a per-budget cosine experiment", 2.99e20),
    Printed("sweep", "total FLOPs of the hyperparameter sweep", 2.04e20),
    Printed("sweep", "FLOPs of the reduced sweep", 1.44e19),
    Printed("all", "total FLOPs of the study", 3.03e21),
    Printed("reference", "Hoffmann a", 0.5),
    Printed("reference", "Kaplan a", 0.88),
    Printed("reference", "adjusted Kaplan a", 0.73),
)

ACCURACY: dict[str, tuple[Accuracy, ...]] = {
    "all_budgets": (
        Accuracy(3, 3.875e17, 0.5285793371474394, 0.4794187137769802, 0.5877749174026201, 0.0835448539684512),
        Accuracy(4, 7.875e17, 0.4644499401764388, 0.4485538698150276, 0.4881790502453507, 0.0685954761547456),
        Accuracy(5, 1.5875e18, 0.45507729734963, 0.441002012803339, 0.4711498597709546, 0.0908272516415355),
        Accuracy(6, 3.1875e18, 0.4748488906625975, 0.4611150617823512, 0.4912458862287637, 0.051615774756027),
        Accuracy(7, 6.3875e18, 0.4816425514626056, 0.4696127473434772, 0.4934079302419356, 0.0398163787710246),
        Accuracy(8, 1.43875e19, 0.4831847920245096, 0.4725672006520697, 0.4952164216546274, 0.034685667590819),
        Accuracy(9, 2.87875e19, 0.4797327233270577, 0.4709210696308657, 0.4899624867375821, 0.0411875913828023),
        Accuracy(10, 5.11875e19, 0.4941958388775095, 0.4862289278811028, 0.5021878181489458, 0.0147995031972477),
        Accuracy(11, 8.95875e19, 0.4954000741985909, 0.4886967386570665, 0.502131156758439, 0.0116108005822499),
        Accuracy(12, 1.535875e20, 0.4968950781788517, 0.4903018732509537, 0.5045077787782626, 0.0095091301764442),
    ),
    "budgets_above_2.4e16": (
        Accuracy(3, 3.875e17, 0.6899085137849302, 0.5912411792983285, 0.8270952818445272, 0.4205513678846645),
        Accuracy(4, 7.875e17, 0.4748079573507303, 0.4537312648301697, 0.5247813651457445, 0.0533642355247149),
        Accuracy(5, 1.5875e18, 0.4554455590317852, 0.4290797653512077, 0.4839158845980698, 0.0932010560509661),
        Accuracy(6, 3.1875e18, 0.4830311929705929, 0.4593883890049647, 0.5085191987066314, 0.0405297740563675),
        Accuracy(7, 6.3875e18, 0.489313668260844, 0.4706202546995038, 0.5059228449263923, 0.0292374601507386),
        Accuracy(8, 1.43875e19, 0.4892316902911054, 0.4753626267537169, 0.5054308413791931, 0.0258664391012225),
        Accuracy(9, 2.87875e19, 0.4833673095632253, 0.4720770629091558, 0.4964712201446328, 0.0349962358073472),
        Accuracy(10, 5.11875e19, 0.5002151669396395, 0.4896599180220296, 0.5100702430864671, 0.0103306266255469),
        Accuracy(11, 8.95875e19, 0.5005063698582591, 0.4920656727895168, 0.5090117200505805, 0.0086954945804914),
        Accuracy(12, 1.535875e20, 0.5013941745045701, 0.493529952851675, 0.5103987026911427, 0.0091884262703131),
    ),
}

SENSITIVITY: dict[str, dict[str, float]] = {
    "as_released_constant_noise": {
        "rw_1_kaplan_repro": 0.8366331512213709,
        "rw_2_last_layer_flops": 0.7064593963490127,
        "rw_3_warmup": 0.6016314945352249,
        "rw_4_cosine": 0.5719836642873976,
        "rw_5_tuned": 0.4968950781788518,
        "rw_att_2_last_layer_flops": 0.7170576329098817,
        "rw_att_3_warmup": 0.622319211655801,
        "rw_att_4_cosine": 0.5782714132781085,
        "rw_att_5_tuned": 0.5052660845201853,
        "rw_kaplan_tuned_longwarmup": 0.7108411498075266,
        "owt2_1_kaplan_repro": 0.8627037802359674,
        "owt2_2_last_layer_flops": 0.6984555400663139,
        "owt2_3_warmup": 0.6018248148648135,
        "owt2_4_cosine": 0.5738083236237996,
        "owt2_5_tuned": 0.516025424036938,
    },
    "noise_rising_with_loss": {
        "rw_1_kaplan_repro": 0.8358180172668318,
        "rw_2_last_layer_flops": 0.7104782709715001,
        "rw_3_warmup": 0.6039019207528584,
        "rw_4_cosine": 0.5727956963081828,
        "rw_5_tuned": 0.4963932400002368,
        "rw_att_2_last_layer_flops": 0.7170600210191502,
        "rw_att_3_warmup": 0.6226776394911279,
        "rw_att_4_cosine": 0.5781863158385859,
        "rw_att_5_tuned": 0.5010852539219437,
        "rw_kaplan_tuned_longwarmup": 0.7072637367361098,
        "owt2_1_kaplan_repro": 0.858412620938412,
        "owt2_2_last_layer_flops": 0.6978927307285953,
        "owt2_3_warmup": 0.5997634290206652,
        "owt2_4_cosine": 0.5724083295985972,
        "owt2_5_tuned": 0.5126017216394197,
    },
}
