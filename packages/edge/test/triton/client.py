"""Triton's own HTTP client against the edge at sys.argv[1], serving the model "tiny"; argv[2] is where tritonclient is.

With any further argument only what the recorded requests beside this file hold is sent, in their order.
"""

import sys

sys.path.insert(0, sys.argv[2])
import numpy as np
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

client = http.InferenceServerClient(sys.argv[1])
pixels = np.arange(32, dtype=np.float32).reshape(2, 1, 4, 4)


def infer(binary_in, binary_out, compression=None, version=""):
    given = http.InferInput("pixels", pixels.shape, "FP32")
    given.set_data_from_numpy(pixels, binary_data=binary_in)
    wanted = None if binary_out is None else [http.InferRequestedOutput("scores", binary_data=binary_out)]
    answer = client.infer(
        "tiny",
        [given],
        outputs=wanted,
        request_id="from triton",
        parameters={"key": f"{binary_in} {binary_out} {compression}"},
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
        model_version=version,
    )
    scores = answer.as_numpy("scores")
    assert scores.shape == (2, 3) and scores.dtype == np.float32
    assert answer.get_response()["id"] == "from triton"
    return scores


assert client.is_server_live()
assert client.is_server_ready()
assert client.is_model_ready("tiny")
assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
meta = client.get_model_metadata("tiny")
assert [i["shape"] for i in meta["inputs"]] == [[-1, 1, 4, 4]]
assert client.get_model_config("tiny")["max_batch_size"] == 0
assert {m["name"] for m in client.get_model_repository_index()} == {"tiny", "tiny.rest"}
scores = infer(True, True)
np.testing.assert_allclose(infer(False, False), scores, rtol=1e-4)
np.testing.assert_allclose(infer(True, None), scores, rtol=1e-4)
np.testing.assert_allclose(infer(True, True, "gzip"), scores, rtol=1e-4)

if len(sys.argv) == 3:
    for compression in (None, "gzip", "deflate"):
        for binary_in in (True, False):
            for binary_out in (True, False, None):
                again = infer(binary_in, binary_out, compression, meta["versions"][0])
                np.testing.assert_allclose(again, scores, rtol=1e-4)
    given = http.InferInput("pixels", pixels.shape, "FP32")
    given.set_data_from_numpy(pixels)
    later = [client.async_infer("tiny", [given]) for _ in range(8)]
    for answer in later:
        np.testing.assert_allclose(answer.get_result().as_numpy("scores"), scores, rtol=1e-4)
    assert client.get_inference_statistics("tiny")["model_stats"][0]["inference_count"] > 16
    assert len(client.get_inference_statistics()["model_stats"]) == 2
    for refused, words in (
        (lambda: client.get_model_metadata("nope"), "Request for unknown model: 'nope' is not found"),
        (lambda: client.infer("tiny", [given], model_version="7"), "'tiny' version 7 is not found"),
        (lambda: client.load_model("tiny"), "there is nothing at POST"),
        (lambda: client.infer("tiny", [given], outputs=[http.InferRequestedOutput("x")]), 'no output "x"'),
    ):
        try:
            refused()
        except InferenceServerException as error:
            assert words in error.message(), error
        else:
            raise AssertionError(words)
print(scores.tolist())
