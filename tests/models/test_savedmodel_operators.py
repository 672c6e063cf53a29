"""A SavedModel's graph runs only operators that leave the machine alone; harmless files try."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeshrink.errors import ModelError
from edgeshrink.models import facts, refuse
from edgeshrink.models.graph import refused_operators
from edgeshrink.models.operators import ALLOWED


@pytest.fixture(scope="module")
def tf() -> Any:
    import tensorflow

    return tensorflow


def saved(tf: Any, folder: Path, extra: Any = None) -> Path:
    """Return a SavedModel with a variable, whose function may do something beside."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = tf.Variable([2.0, 3.0])

        @tf.function(input_signature=[tf.TensorSpec((1, 2), tf.float32, name="x")])
        def serve(self, x: Any) -> Any:
            if extra is not None:
                extra(x)
            return x * self.weight

    module = Module()
    tf.saved_model.save(module, str(folder), signatures=module.serve)
    return folder


def document(tf: Any, folder: Path) -> Any:
    from tensorflow.core.protobuf import saved_model_pb2

    found = saved_model_pb2.SavedModel()
    found.ParseFromString((folder / "saved_model.pb").read_bytes())
    return found


def test_variables_are_saved_and_restored_as_always(tf: Any, tmp_path: Path) -> None:
    folder = saved(tf, tmp_path / "plain")
    said = str(document(tf, folder))
    assert "RestoreV2" in said
    assert "MergeV2Checkpoints" in said
    assert refused_operators(folder) == ()
    assert facts(folder).refused_operators == ()


@pytest.mark.parametrize(
    "name", ["WriteFile", "ReadFile", "PrintV2", "EagerPyFunc", "MatchingFiles"]
)
def test_what_touches_the_machine_is_refused_before_it_runs(
    tf: Any, tmp_path: Path, name: str
) -> None:
    touched = tmp_path / "touched.txt"
    work = {
        "WriteFile": lambda x: tf.io.write_file(str(touched), "it ran"),
        "ReadFile": lambda x: tf.io.read_file(str(touched)),
        "PrintV2": lambda x: tf.print(x, output_stream=f"file://{touched}"),
        "EagerPyFunc": lambda x: tf.py_function(lambda v: v, [x], tf.float32),
        "MatchingFiles": lambda x: tf.io.matching_files(str(tmp_path / "*")),
    }
    folder = saved(tf, tmp_path / "model", work[name])
    found = facts(folder)
    assert found.refused_operators == (name,)
    with pytest.raises(ModelError, match=name) as caught:
        refuse(found)
    assert "--unsafe" in caught.value.hint
    assert refuse(found, unsafe=True)
    from edgeshrink.nn import load_model

    with pytest.raises(ModelError, match=name):
        load_model(folder)
    assert not touched.exists()


def test_the_saver_serves_the_saver_alone(tf: Any, tmp_path: Path) -> None:
    """Who names the saver's function in the serving graph would write files with it."""
    folder = saved(tf, tmp_path / "model")
    found = document(tf, folder)
    graph = found.meta_graphs[0].graph_def
    saving = next(f for f in graph.library.function if "traced_save" in f.signature.name)
    serving = next(f for f in graph.library.function if "serve" in f.signature.name)
    call = serving.node_def.add(name="call", op="StatefulPartitionedCall")
    call.attr["f"].func.name = saving.signature.name
    (folder / "saved_model.pb").write_bytes(found.SerializeToString())
    assert set(refused_operators(folder)) == {"SaveV2", "ShardedFilename", "MergeV2Checkpoints"}


def test_values_are_restored_from_the_models_own_file_alone(tf: Any, tmp_path: Path) -> None:
    folder = saved(tf, tmp_path / "model")
    found = document(tf, folder)
    library = found.meta_graphs[0].graph_def.library.function
    restoring = next(f for f in library if "traced_restore" in f.signature.name)
    for node in restoring.node_def:
        if node.op == "RestoreV2":
            node.input[0] = "another:output:0"
    (folder / "saved_model.pb").write_bytes(found.SerializeToString())
    assert refused_operators(folder) == ("RestoreV2",)


def test_a_function_that_is_called_like_an_operator_is_no_function(tf: Any, tmp_path: Path) -> None:
    folder = saved(tf, tmp_path / "model")
    found = document(tf, folder)
    library = found.meta_graphs[0].graph_def.library
    library.function.add().signature.name = "WriteFile"
    library.function[0].node_def.add(name="w", op="WriteFile")
    (folder / "saved_model.pb").write_bytes(found.SerializeToString())
    assert refused_operators(folder) == ("WriteFile",)


def test_another_form_of_the_graph_is_not_overlooked(tf: Any, tmp_path: Path) -> None:
    folder = saved(tf, tmp_path / "model")
    (folder / "saved_model.pbtxt").write_text("")
    assert refused_operators(folder) == ("what saved_model.pbtxt holds",)


def test_savers_of_tensorflow_1_pass(tf: Any, tmp_path: Path) -> None:
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (1, 2), name="x")
        weight = v1.get_variable("w", initializer=[1.0, 2.0], use_resource=False)
        y = x * weight
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "v1"), {"x": x}, {"y": y})
    assert refused_operators(tmp_path / "v1") == ()


def test_allowed_operators_exist_and_none_of_them_is_known_to_touch_files(tf: Any) -> None:
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    listed = op_def_pb2.OpList()
    listed.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    known = {op.name for op in listed.op}
    assert sorted(ALLOWED - known) == []
    words = ("File", "Save", "Restore", "Print", "PyFunc", "Dataset", "Reader", "Rpc", "Checkpoint")
    assert [name for name in sorted(ALLOWED) if any(word in name for word in words)] == []
    assert not ALLOWED & {
        "Abort",
        "ImmutableConst",
        "DebugIdentity",
        "XlaLaunch",
        "LoadAndRemapMatrix",
    }


def test_damaged_graphs_end_in_a_sentence(tf: Any, tmp_path: Path) -> None:
    folder = saved(tf, tmp_path / "model")
    data = (folder / "saved_model.pb").read_bytes()
    (folder / "saved_model.pb").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match=r"saved_model\.pb in model is truncated or damaged"):
        facts(folder)
