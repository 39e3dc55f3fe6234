use std::path::{Path, PathBuf};

use float8::F8E4M3;
use half::bf16;
use safetensors::{Dtype, tensor::TensorView};

use super::Lora;
use crate::{
    error::LoadError,
    weights::{Bias, Fp8, Matrix, Weights},
};

type Tensor<'a> = (&'a str, &'a [usize], &'a [f32]);

/// The layer that is adapted, `[3, 2]`.
const WEIGHT: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
/// Of rank 1, `[1, 2]` and `[3, 1]`.
const DOWN: [f32; 2] = [1.0, -1.0];
const UP: [f32; 3] = [1.0, 0.0, 2.0];
/// [`WEIGHT`] with `UP · DOWN` added.
const MERGED: [f32; 6] = [2.0, 1.0, 3.0, 4.0, 7.0, 4.0];

const MODULE: &str = "transformer_blocks.0.attn.to_q";

fn write(path: &Path, tensors: &[Tensor<'_>]) {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, values)| {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        })
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (
            *name,
            TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap(),
        )
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new(adapter: &[Tensor<'_>]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Self { folder };
        let weight = format!("{MODULE}.weight");
        write(
            &files.path("base.safetensors"),
            &[(&weight, &[3, 2], &WEIGHT)],
        );
        write(&files.path("lora.safetensors"), adapter);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn adapter(&self, strength: f32) -> Result<Lora, LoadError> {
        Lora::open(&self.path("lora.safetensors"), strength)
    }

    /// The layer with the adapter merged into it, and whether all of the adapter was.
    fn merged(&self, strength: f32) -> Result<(Vec<f32>, Result<(), LoadError>), LoadError> {
        let weights = Weights::open(&self.path("base.safetensors"))?;
        let weights = weights.with_lora(self.adapter(strength)?)?;
        let layer = weights.root().at(MODULE).linear_weights(2, 3, Bias::No)?;
        let Matrix::F32(values) = layer.matrix else {
            panic!("{layer:?}");
        };
        Ok((values, weights.check_lora_merged()))
    }
}

#[test]
fn every_published_naming_is_read() {
    for (prefix, module) in [
        ("", MODULE),
        ("transformer.", MODULE),
        ("diffusion_model.", MODULE),
        ("lora_unet_", "transformer_blocks_0_attn_to_q"),
    ] {
        for (down, up) in [
            ("lora_down.weight", "lora_up.weight"),
            ("lora_A.weight", "lora_B.weight"),
            ("lora_A.default.weight", "lora_B.default.weight"),
        ] {
            let files = Files::new(&[
                (&format!("{prefix}{module}.{down}"), &[1, 2], &DOWN),
                (&format!("{prefix}{module}.{up}"), &[3, 1], &UP),
            ]);
            let (values, whole) = files.merged(1.0).unwrap();
            assert_eq!(values, MERGED, "{prefix} {down}");
            whole.unwrap();
        }
    }
}

fn named(alpha: Option<Tensor<'_>>) -> Files {
    let (down, up) = (
        format!("{MODULE}.lora_down.weight"),
        format!("{MODULE}.lora_up.weight"),
    );
    let matrices: [Tensor<'_>; 2] = [
        (&down, &[2, 2], &[1.0, -1.0, 0.0, 0.0]),
        (&up, &[3, 2], &[1.0, 0.0, 0.0, 0.0, 2.0, 0.0]),
    ];
    Files::new(&matrices.into_iter().chain(alpha).collect::<Vec<_>>())
}

#[test]
fn alpha_and_strength_scale_what_is_added() {
    let alpha = format!("{MODULE}.alpha");
    // Of rank 2: an alpha of 2 is a scale of 1, and so is none.
    for (shape, value, strength, scale) in [
        (Some(&[][..]), 2.0, 1.0, 1.0),
        (Some(&[]), 1.0, 1.0, 0.5),
        (Some(&[1]), 4.0, 0.5, 1.0),
        (None, 0.0, 1.0, 1.0),
        (None, 0.0, 0.5, 0.5),
        (None, 0.0, 0.0, 0.0),
    ] {
        let value = [value];
        let files = named(shape.map(|shape| (alpha.as_str(), shape, &value[..])));
        let (values, _) = files.merged(strength).unwrap();
        let expected = WEIGHT.iter().zip(MERGED);
        let expected: Vec<f32> = expected.map(|(w, m)| w + scale * (m - w)).collect();
        assert_eq!(values, expected, "{value:?} {strength}");
    }
}

#[test]
fn an_alpha_of_several_numbers_is_refused() {
    let alpha = format!("{MODULE}.alpha");
    let error = named(Some((&alpha, &[2], &[1.0, 2.0])))
        .merged(1.0)
        .unwrap_err();
    assert!(error.to_string().contains(&alpha), "{error}");
}

#[test]
fn an_adapter_for_another_width_is_refused() {
    let (down, up) = (
        format!("{MODULE}.lora_A.weight"),
        format!("{MODULE}.lora_B.weight"),
    );
    for (wrong, down_shape, up_shape) in [
        (&down, [1, 3], [3, 1]),
        (&up, [1, 2], [2, 1]),
        (&up, [1, 2], [3, 2]),
    ] {
        let values = [1.0; 6];
        let files = Files::new(&[
            (&down, &down_shape, &values[..down_shape.iter().product()]),
            (&up, &up_shape, &values[..up_shape.iter().product()]),
        ]);
        let error = files.merged(1.0).unwrap_err();
        let LoadError::Shape { name, path, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(name, *wrong);
        assert!(path.ends_with("lora.safetensors"));
    }
}

#[test]
fn an_adapter_for_another_model_is_refused_once_all_is_loaded() {
    let other = "transformer_blocks.9.attn.to_q";
    let (down, up) = (
        format!("{other}.lora_A.weight"),
        format!("{other}.lora_B.weight"),
    );
    let files = Files::new(&[(&down, &[1, 2], &DOWN), (&up, &[3, 1], &UP)]);
    let (values, whole) = files.merged(1.0).unwrap();
    assert_eq!(values, WEIGHT);
    let error = whole.unwrap_err().to_string();
    assert!(error.contains("transformer_blocks_9_attn_to_q"), "{error}");
}

#[test]
fn what_is_no_adapter_is_refused() {
    let down = format!("{MODULE}.lora_down.weight");
    let same = format!("transformer.{MODULE}.lora_A.weight");
    let up = format!("{MODULE}.lora_up.weight");
    let weight = format!("{MODULE}.weight");
    let down_tensor: Tensor<'_> = (&down, &[1, 2], &DOWN);
    let up_tensor: Tensor<'_> = (&up, &[3, 1], &UP);
    for (tensors, named) in [
        (vec![down_tensor], "only one of its two matrices"),
        (
            vec![down_tensor, up_tensor, (&weight, &[3, 2], &WEIGHT)],
            weight.as_str(),
        ),
        (
            vec![down_tensor, up_tensor, (&same, &[1, 2], &DOWN)],
            same.as_str(),
        ),
    ] {
        let error = Files::new(&tensors).adapter(1.0).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn what_is_not_finite_is_refused() {
    let (down, up) = (
        format!("{MODULE}.lora_A.weight"),
        format!("{MODULE}.lora_B.weight"),
    );
    let files = Files::new(&[(&down, &[1, 2], &[f32::NAN, 1.0]), (&up, &[3, 1], &UP)]);
    let error = files.merged(1.0).unwrap_err();
    assert!(matches!(error, LoadError::NotFinite { name, .. } if name == down));
}

#[test]
fn a_merged_checkpoint_takes_no_adapter() {
    let files = named(None);
    let merged = files.path("qwen_fp8_Lightning_4steps.safetensors");
    std::fs::copy(files.path("base.safetensors"), &merged).unwrap();
    let weights = Weights::open(&merged).unwrap();
    let error = weights.with_lora(files.adapter(1.0).unwrap()).unwrap_err();
    assert!(matches!(error, LoadError::OtherLayout { path, .. } if path == merged));
}

#[test]
fn the_type_of_the_matrix_stays() {
    let adapter = named(None).adapter(1.0).unwrap();
    let merge = |matrix| adapter.merge(MODULE, matrix, [3, 2]).unwrap();
    let values = WEIGHT.map(bf16::from_f32).to_vec();
    let Matrix::Bf16(values) = merge(Matrix::Bf16(values)) else {
        panic!("another type");
    };
    assert_eq!(values, MERGED.map(bf16::from_f32));

    let found = merge(Matrix::F8 {
        values: WEIGHT.map(|value| F8E4M3::from_f32(2.0 * value)).to_vec(),
        scale: vec![0.5; 3],
        mode: Fp8::WeightOnly,
    });
    let Matrix::F8 {
        values,
        scale,
        mode,
    } = found
    else {
        panic!("another type");
    };
    assert_eq!(mode, Fp8::WeightOnly);
    for ((row, scale), expected) in values
        .chunks_exact(2)
        .zip(scale)
        .zip(MERGED.chunks_exact(2))
    {
        for (value, expected) in row.iter().zip(expected) {
            // Three bits of mantissa.
            assert!((value.to_f32() * scale - expected).abs() <= expected / 16.0);
        }
    }
}

#[test]
fn more_rows_than_are_added_at_a_time_are_merged() {
    let rows = super::ROWS + 3;
    let up: Vec<f32> = (0..rows).map(|row| row as f32).collect();
    let (down_name, up_name) = (
        format!("{MODULE}.lora_A.weight"),
        format!("{MODULE}.lora_B.weight"),
    );
    let files = Files::new(&[(&down_name, &[1, 1], &[2.0]), (&up_name, &[rows, 1], &up)]);
    let matrix = Matrix::F32(vec![1.0; rows]);
    let merged = files
        .adapter(1.0)
        .unwrap()
        .merge(MODULE, matrix, [rows, 1])
        .unwrap();
    let Matrix::F32(values) = merged else {
        panic!("another type");
    };
    let expected: Vec<f32> = (0..rows).map(|row| 1.0 + 2.0 * row as f32).collect();
    assert_eq!(values, expected);
}
