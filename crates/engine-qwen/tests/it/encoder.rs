//! Pictures, prompt, vision tower and language model against the reference.

use std::path::Path;

use image::RgbImage;
use serde_json::json;
use tryon_engine_qwen::{
    backend::{Backend, Cpu},
    golden::{Golden, Recorder},
    image::{Areas, Processor, Reference},
    tap::Untapped,
    text::{EncoderConfig, TextEncoder, TokenisedPrompt, Tokeniser, VisionFeatures},
};

use crate::{changed::Changed, golden};

/// Everything that turns a prompt and pictures into states.
struct Encoder {
    tokeniser: Tokeniser,
    processor: Processor,
    model: TextEncoder<Cpu>,
}

impl Encoder {
    fn open(checkpoint: &Path) -> Self {
        let tokeniser = Tokeniser::open(checkpoint).unwrap();
        let processor = Processor::open(checkpoint).unwrap();
        let config = EncoderConfig::open(checkpoint, &tokeniser, &processor).unwrap();
        Self {
            model: TextEncoder::load(&Cpu, checkpoint, config).unwrap(),
            tokeniser,
            processor,
        }
    }

    fn tiny() -> Self {
        Self::open(&golden::path("checkpoint/tiny-2511"))
    }

    /// The pictures of a golden file, as both see them.
    fn references(&self, golden: &Golden, tap: &mut Recorder) -> Vec<Reference> {
        let areas = Areas {
            condition: number(golden, "condition_area"),
            vae: number(golden, "vae_area"),
        };
        let prepare = |index| {
            let picture = picture(golden, &format!("img.{index}.raw_u8"));
            Reference::prepare::<Cpu>(&picture, index, areas, &self.processor, tap).unwrap()
        };
        (0..2).map(prepare).collect()
    }

    fn look(&self, references: &[Reference], tap: &mut Recorder) -> VisionFeatures<Cpu> {
        let inputs: Vec<_> = references
            .iter()
            .map(|picture| picture.vision.clone())
            .collect();
        self.model.look(&Cpu, &inputs, tap).unwrap()
    }

    /// The prompt of a golden file, with what the file says to drop.
    fn prompt(&self, golden: &Golden, references: &[Reference]) -> TokenisedPrompt {
        let merge = self.processor.merge_size();
        let grids: Vec<_> = references
            .iter()
            .map(|r| r.vision.grid.merged(merge))
            .collect();
        let prompt = golden.metadata("prompt").unwrap();
        let drop = number(golden, "drop_idx");
        self.tokeniser
            .prompt(prompt, &grids)
            .with_drop(drop as usize)
    }
}

fn number(golden: &Golden, key: &str) -> u32 {
    golden.metadata(key).unwrap().parse().unwrap()
}

/// A tensor of bytes, `[height, width, 3]`.
pub(crate) fn picture(golden: &Golden, name: &str) -> RgbImage {
    let tensor = golden::get(golden, name);
    let [height, width, 3] = tensor.shape[..] else {
        panic!("`{name}` is no picture: {:?}", tensor.shape);
    };
    let bytes = tensor.values.iter().map(|value| *value as u8).collect();
    RgbImage::from_raw(width as u32, height as u32, bytes).unwrap()
}

/// Every tensor from the bytes of the pictures to the last norm.
///
/// Fails when, one at a time: text goes on behind a picture's number of tokens; a picture's rows and
/// columns do not count, or are swapped, in either rotary embedding; the tower's is not in the order
/// of the windows; the merger's GELU is the one by tanh; every layer of the tower sees pictures as
/// a whole, or none does, or pictures see each other; the order of the windows is not undone;
/// attention is not causal; heads of keys are as many as of queries; the last norm is left out;
/// nothing is dropped; a space of the template is; the second frame of a patch is empty; patches of
/// a square are column by column; the processor resamples with Lanczos, or what was not resampled
/// before.
#[test]
fn every_tensor_is_the_references() {
    let encoder = Encoder::tiny();
    let file = golden::open("edit2511_4step");
    let mut tap = Recorder::all();
    let references = encoder.references(&file, &mut tap);
    let features = encoder.look(&references, &mut tap);
    let prompt = encoder.prompt(&file, &references);
    let states = encoder
        .model
        .encode(&Cpu, &prompt, &features, &mut tap)
        .unwrap();

    let ours = |name: &str| {
        ["img.", "te.", "vis."]
            .iter()
            .any(|kind| name.starts_with(kind))
    };
    golden::check(&file, &tap, "", ours);
    let pictures = golden::open("edit2511_4step_images");
    golden::check(&pictures, &tap, "", ours);

    let found = Cpu.download(&states).unwrap().into_iter().map(f64::from);
    let wanted = golden::get(&file, "dit.in.encoder_hidden_states");
    let found: Vec<f64> = found.collect();
    let difference = tryon_engine_qwen::golden::Difference::between(&found, &wanted.values);
    assert!(difference.unwrap().relative_l2 <= 2e-5, "{difference:?}");
}

/// With the vocabulary that the fixture has, and with the published one, the system prompt is 64
/// tokens, which is what the reference drops whatever the vocabulary.
#[test]
fn the_system_prompt_is_counted() {
    let encoder = Encoder::tiny();
    let prompt = encoder.tokeniser.prompt("a", &[]);
    assert_eq!(prompt.drop, 64);
}

/// What the tower made of the pictures serves a second prompt.
#[test]
fn pictures_are_looked_at_once() {
    let encoder = Encoder::tiny();
    let file = golden::open("edit2511_4step");
    let references = encoder.references(&file, &mut Recorder::all());
    let features = encoder.look(&references, &mut Recorder::all());
    let prompt = encoder.prompt(&file, &references);
    let encode = |prompt: &TokenisedPrompt| {
        let states = encoder.model.encode(&Cpu, prompt, &features, &mut Untapped);
        Cpu.download(&states.unwrap()).unwrap()
    };
    let negative = encoder.tokeniser.prompt(" ", &prompt.grids);
    let (first, other, again) = (encode(&prompt), encode(&negative), encode(&prompt));
    assert_eq!(first, again);
    assert_ne!(first.len(), other.len());
}
/// The states of the golden prompt, by another checkpoint.
fn states(checkpoint: &Path) -> Vec<f32> {
    let encoder = Encoder::open(checkpoint);
    let file = golden::open("edit2511_4step");
    let references = encoder.references(&file, &mut Recorder::all());
    let features = encoder.look(&references, &mut Recorder::all());
    let prompt = encoder.prompt(&file, &references);
    let states = encoder
        .model
        .encode(&Cpu, &prompt, &features, &mut Untapped);
    Cpu.download(&states.unwrap()).unwrap()
}

/// The keys of the language model beside those of the vision tower, with the names that
/// transformers 4 and the published checkpoint have.
#[test]
fn an_older_configuration_is_the_same_model() {
    let checkpoint = Changed::copy();
    checkpoint.json("text_encoder/config.json", |json| {
        let outer = json.as_object_mut().unwrap();
        let language = outer.remove("text_config").unwrap();
        outer.extend(language.as_object().unwrap().clone());
        outer.remove("layer_types").unwrap();
        outer.remove("rope_parameters").unwrap();
        outer.insert("model_type".into(), json!("qwen2_5_vl"));
        outer.insert("rope_theta".into(), json!(1_000_000.0));
        outer.insert("sliding_window".into(), json!(32768));
        let rope = json!({ "type": "mrope", "mrope_section": [1, 1, 2] });
        outer.insert("rope_scaling".into(), rope);
        let vision = outer["vision_config"].as_object_mut().unwrap();
        let channels = vision.remove("in_channels").unwrap();
        vision.insert("in_chans".into(), channels);
        vision.insert("spatial_patch_size".into(), json!(14));
    });
    assert_eq!(
        states(checkpoint.path()),
        states(&golden::path("checkpoint/tiny-2511"))
    );
}

/// What `save_pretrained` of transformers 5 makes of a processor.
#[test]
fn a_newer_processor_configuration_is_the_same_processor() {
    let checkpoint = Changed::copy();
    let inner = checkpoint.read("processor/preprocessor_config.json");
    checkpoint.remove("processor/preprocessor_config.json");
    let outer = format!(r#"{{ "image_processor": {inner}, "processor_class": "a" }}"#);
    checkpoint.write("processor/processor_config.json", &outer);
    assert_eq!(
        states(checkpoint.path()),
        states(&golden::path("checkpoint/tiny-2511"))
    );
}

/// Tensors named as the modules are called, in one file, and no head.
#[test]
fn newer_names_of_tensors_are_the_same_model() {
    let checkpoint = Changed::copy();
    checkpoint.tensors(|tensors| {
        tensors.remove("lm_head.weight").unwrap();
        for (name, tensor) in std::mem::take(tensors) {
            let name = match name.strip_prefix("model.") {
                Some(rest) => format!("model.language_model.{rest}"),
                None => format!("model.{name}"),
            };
            tensors.insert(name, tensor);
        }
    });
    assert_eq!(
        states(checkpoint.path()),
        states(&golden::path("checkpoint/tiny-2511"))
    );
}
