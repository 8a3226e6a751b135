import json

import numpy as np

from gmmaudio.speaker import UNKNOWN, Identification, Verification

SILENT = Identification(UNKNOWN, (), {}, -np.inf, 1.5, 1.0, 0.0)


def test_json_of_an_identification_has_the_ranking_as_pairs():
    result = Identification("anna", (("anna", 1.0), ("bruno", -0.5)), {"anna": 3.0, "bruno": 0.0}, 3.0, 2.0, 0.01, 1.2)
    values = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert values["ranking"] == [["anna", 1.0], ["bruno", -0.5]]
    assert values["decision"] == "anna"


def test_what_is_infinite_is_null_in_json():
    assert json.loads(json.dumps(SILENT.to_dict(), allow_nan=False))["score"] is None
    silent = Verification("anna", False, -np.inf, -np.inf, 1.0, 1.0, 0.0)
    assert json.loads(json.dumps(silent.to_dict(), allow_nan=False))["llr"] is None


def test_unknown_is_not_known():
    assert not SILENT.is_known
