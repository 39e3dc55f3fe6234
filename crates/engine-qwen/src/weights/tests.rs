use std::{fs, path::Path};

use float8::F8E4M3;
use half::{bf16, f16};
use safetensors::{Dtype as Stored, tensor::TensorView};
use serde_json::json;

use super::{Bias, Dtype, Fp8, Matrix, Weights};
use crate::error::LoadError;

type Tensor = (&'static str, Stored, Vec<usize>, Vec<u8>);

fn write(path: &Path, tensors: &[Tensor]) {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (
            *name,
            TensorView::new(*dtype, shape.clone(), bytes).unwrap(),
        )
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

fn floats(name: &'static str, shape: &[usize], values: &[f32]) -> Tensor {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
    (name, Stored::F32, shape.to_vec(), bytes.collect())
}

/// A folder of two shards and their index.
fn sharded(folder: &Path) {
    write(
        &folder.join("a-1.safetensors"),
        &[floats("x.weight", &[1, 2], &[1.0, 2.0])],
    );
    write(
        &folder.join("a-2.safetensors"),
        &[floats("x.bias", &[1], &[3.0])],
    );
    index(
        folder,
        &json!({"x.weight": "a-1.safetensors", "x.bias": "a-2.safetensors"}),
    );
}

fn index(folder: &Path, map: &serde_json::Value) {
    let index = json!({"metadata": {}, "weight_map": map});
    fs::write(folder.join("a.safetensors.index.json"), index.to_string()).unwrap();
}

fn one(tensors: &[Tensor]) -> (tempfile::TempDir, Weights) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    write(&path, tensors);
    let weights = Weights::open(&path).unwrap();
    (folder, weights)
}

/// The matrix of the layer `x`, of one output and two inputs.
fn layer(tensors: &[Tensor]) -> Result<Matrix, LoadError> {
    let (_folder, weights) = one(tensors);
    let scope = weights.root().with_fp8(Fp8::WeightOnly).at("x");
    Ok(scope.linear_weights(2, 1, Bias::No)?.matrix)
}

#[test]
fn shards_are_one_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    sharded(folder.path());
    let weights = Weights::open(folder.path()).unwrap();
    assert_eq!(weights.names().collect::<Vec<_>>(), ["x.bias", "x.weight"]);
    assert_eq!(weights.total_bytes(), 12);
    let layer = weights
        .root()
        .at("x")
        .linear_weights(2, 1, Bias::Yes)
        .unwrap();
    assert!(matches!(layer.matrix, Matrix::F32(values) if values == [1.0, 2.0]));
    assert_eq!(layer.bias, Some(vec![3.0]));
}

#[test]
fn a_missing_shard_is_named() {
    let folder = tempfile::tempdir().unwrap();
    sharded(folder.path());
    let shard = folder.path().join("a-2.safetensors");
    fs::remove_file(&shard).unwrap();
    let error = Weights::open(folder.path()).unwrap_err();
    assert!(matches!(error, LoadError::Unreadable { path, .. } if path == shard));
}

#[test]
fn a_file_cut_short_is_named() {
    let folder = tempfile::tempdir().unwrap();
    sharded(folder.path());
    let shard = folder.path().join("a-1.safetensors");
    let bytes = fs::read(&shard).unwrap();
    // Within the values, the header and the header's length; and nothing at all.
    for length in [bytes.len() - 1, 20, 4, 0] {
        fs::write(&shard, &bytes[..length]).unwrap();
        let error = Weights::open(folder.path()).unwrap_err();
        assert!(
            matches!(&error, LoadError::Damaged { path, .. } | LoadError::Unreadable { path, .. } if *path == shard),
            "{length}: {error}"
        );
    }
}

#[test]
fn an_index_that_leaves_its_folder_is_refused() {
    for outside in [
        "../a-1.safetensors",
        "/etc/passwd",
        "b/a-1.safetensors",
        "..",
    ] {
        let folder = tempfile::tempdir().unwrap();
        sharded(folder.path());
        index(folder.path(), &json!({"x.weight": outside}));
        let error = Weights::open(folder.path()).unwrap_err();
        let LoadError::Damaged { path, reason } = error else {
            panic!("{error}");
        };
        assert!(path.ends_with("a.safetensors.index.json"));
        assert!(reason.contains(outside), "{reason}");
    }
}

#[test]
fn a_tensor_of_the_index_alone_is_named() {
    let folder = tempfile::tempdir().unwrap();
    sharded(folder.path());
    let map = json!({"x.weight": "a-1.safetensors", "y.weight": "a-2.safetensors"});
    index(folder.path(), &map);
    let error = Weights::open(folder.path()).unwrap_err();
    assert!(matches!(error, LoadError::MissingTensor { name, path }
        if name == "y.weight" && path.ends_with("a-2.safetensors")));
}

#[test]
fn a_tensor_in_two_shards_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    sharded(folder.path());
    write(
        &folder.path().join("a-2.safetensors"),
        &[
            floats("x.weight", &[1, 2], &[0.0; 2]),
            floats("x.bias", &[1], &[0.0]),
        ],
    );
    let error = Weights::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("`x.weight`") && error.contains("another shard"),
        "{error}"
    );
}

#[test]
fn a_folder_without_one_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = Weights::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("no `.safetensors` file"), "{error}");
    for name in ["a.safetensors", "b.safetensors"] {
        write(&folder.path().join(name), &[floats("x", &[1], &[1.0])]);
    }
    let error = Weights::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("several"), "{error}");
}

#[test]
fn a_renamed_tensor_is_named() {
    let error = layer(&[floats("x.kernel", &[1, 2], &[0.0; 2])]).unwrap_err();
    assert!(matches!(error, LoadError::MissingTensor { name, path }
        if name == "x.weight" && path.ends_with("a.safetensors")));
}

#[test]
fn another_shape_is_named() {
    let error = layer(&[floats("x.weight", &[2, 1], &[0.0; 2])]).unwrap_err();
    assert!(
        matches!(error, LoadError::Shape { name, found, expected, .. }
        if name == "x.weight" && found == [2, 1] && expected == [1, 2])
    );
}

#[test]
fn another_type_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    write(&path, &[("x.weight", Stored::I32, vec![1, 2], vec![0; 8])]);
    let error = Weights::open(&path).unwrap_err();
    assert!(matches!(error, LoadError::Dtype { name, found, .. }
        if name == "x.weight" && found == "I32"));
}

#[test]
fn what_is_not_finite_is_named() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let half = |value: f32| bf16::from_f32(value).to_le_bytes();
        let halves = [half(1.0), half(bad)].concat();
        for tensor in [
            floats("x.weight", &[1, 2], &[1.0, bad]),
            ("x.weight", Stored::BF16, vec![1, 2], halves),
        ] {
            let error = layer(&[tensor]).unwrap_err();
            assert!(matches!(error, LoadError::NotFinite { name, .. } if name == "x.weight"));
        }
    }
    // The two codes of E4M3 that are not numbers.
    for code in [0x7f, 0xff] {
        let scale = floats("x.weight_scale", &[1, 1], &[1.0]);
        let matrix = ("x.weight", Stored::F8_E4M3, vec![1, 2], vec![0x38, code]);
        let error = layer(&[matrix, scale]).unwrap_err();
        assert!(matches!(error, LoadError::NotFinite { name, .. } if name == "x.weight"));
    }
}

#[test]
fn fp8_needs_a_scale_for_each_row() {
    let matrix = || ("x.weight", Stored::F8_E4M3, vec![1, 2], vec![0x38, 0xb8]);
    let error = layer(&[matrix()]).unwrap_err();
    assert!(matches!(error, LoadError::MissingTensor { name, .. } if name == "x.weight_scale"));
    for shape in [&[][..], &[1]] {
        let error = layer(&[matrix(), floats("x.weight_scale", shape, &[0.5])]).unwrap_err();
        assert!(matches!(error, LoadError::Shape { name, .. } if name == "x.weight_scale"));
    }
    for bad in [f32::NAN, 0.0, -1.0] {
        let scale = floats("x.weight_scale", &[1, 1], &[bad]);
        layer(&[matrix(), scale]).unwrap_err();
    }
    let found = layer(&[matrix(), floats("x.weight_scale", &[1, 1], &[0.5])]).unwrap();
    let Matrix::F8 {
        values,
        scale,
        mode,
    } = found
    else {
        panic!("{found:?}");
    };
    assert_eq!(values, [F8E4M3::from_f32(1.0), F8E4M3::from_f32(-1.0)]);
    assert_eq!((scale, mode), (vec![0.5], Fp8::WeightOnly));
}

#[test]
fn fp8_is_refused_where_no_scale_applies() {
    let (_folder, weights) = one(&[("x", Stored::F8_E4M3, vec![1], vec![0x38])]);
    let error = weights.get("x").unwrap().to_f32().unwrap_err();
    assert!(matches!(error, LoadError::Dtype { found, .. } if found == "F8_E4M3"));
}

#[test]
fn every_type_is_widened_exactly() {
    let values = [1.5_f32, -0.007_812_5, 240.0];
    let each = |bytes: fn(f32) -> Vec<u8>| values.iter().flat_map(|v| bytes(*v)).collect();
    let (_folder, weights) = one(&[
        floats("f32", &[3], &values),
        (
            "f16",
            Stored::F16,
            vec![3],
            each(|v| f16::from_f32(v).to_le_bytes().to_vec()),
        ),
        (
            "bf16",
            Stored::BF16,
            vec![3],
            each(|v| bf16::from_f32(v).to_le_bytes().to_vec()),
        ),
    ]);
    for (name, dtype) in [
        ("f32", Dtype::F32),
        ("f16", Dtype::F16),
        ("bf16", Dtype::Bf16),
    ] {
        let view = weights.get(name).unwrap();
        assert_eq!(view.dtype(), dtype);
        assert_eq!(view.to_f32().unwrap(), values, "{name}");
    }
}

#[test]
fn rows_are_read_in_the_order_that_was_asked_for() {
    let (_folder, weights) = one(&[floats("x", &[3, 2], &[0.0, 1.0, 10.0, 11.0, 20.0, 21.0])]);
    let rows = weights.get("x").unwrap().rows_to_f32(&[2, 0, 2]).unwrap();
    assert_eq!(rows, [20.0, 21.0, 0.0, 1.0, 20.0, 21.0]);
}

#[test]
fn a_file_of_another_layout_is_called_that_before_its_types() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    write(
        &path,
        &[
            ("x.comfy_quant", Stored::U8, vec![2], vec![0; 2]),
            ("x.weight", Stored::F8_E4M3, vec![1, 2], vec![0; 2]),
        ],
    );
    let error = Weights::open(&path).unwrap_err();
    assert!(matches!(error, LoadError::OtherLayout { .. }), "{error}");
}
