//! What an engine does one after the other to make a picture.

use serde::{Deserialize, Serialize};

use crate::name::named;

named! {
    /// A stage of a run. The set is closed and small: each is a label of a metric, and the name of a
    /// span.
    Stage {
        /// What the garment's picture shows is found out, by measure.
        ReadGarment = "read-garment",
        /// The person, or the region of them that is to be dressed, is found.
        ReadPerson = "read-person",
        /// The garment or the tattoo is put on by drawing it.
        Dress = "dress",
        /// A picture that was sent along, or the one that was made, is judged to be fit or not.
        Moderate = "moderate",
        /// A part of the model that is not in memory is loaded.
        Load = "load",
        /// Prompt and pictures become what the transformer is given: resampling, the text encoder
        /// with its vision tower, and the autoencoder's latents. They are one stage, because a GPU
        /// tells when it has done all of it alone.
        EncodeInputs = "encode-inputs",
        /// The denoising steps, and what is computed once for all of them.
        Denoise = "denoise",
        /// Latents become a picture.
        DecodeLatents = "decode-latents",
    }
}
