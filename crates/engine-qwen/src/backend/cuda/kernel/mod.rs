//! The kernels: which one carries out a command, its geometry, and its arguments in their order.
//!
//! The sources are in `source/`; [`compile`] makes them into machine code on the device's own
//! machine. Sums, means and the softmax are 32-bit whatever the storage is; what a command calls
//! exact is 32-bit too. Sizes and strides are counted in numbers, not bytes.

mod attention;
mod element;
mod head;
mod launch;
mod picture;
mod product;
mod row;
mod source;

#[cfg(test)]
mod emulation;
#[cfg(test)]
mod tests;

pub(super) use self::{
    element::finish,
    launch::{Argument, Launch},
    product::multiply,
    source::{SOURCES, Source},
};
use super::command::{Command, Kind};

/// The launch that carries out this command; `None` of a matrix product, which is a library's, and
/// of [`Kind::Forget`].
pub(super) fn launch(command: &Command) -> Option<Launch> {
    let launch = match command.kind {
        Kind::Matmul { .. } | Kind::Forget => return None,
        Kind::Attend { .. } => attention::attend(command),
        Kind::HeadNormTurn { eps } => head::norm_turn(command, eps.get()),
        Kind::QkvNormTurn { eps } => head::qkv(command, eps.get()),
        Kind::Turn(pairing) => head::turn(command, pairing),
        Kind::RmsNorm { eps } => row::rms_norm(command, eps.get()),
        Kind::LayerNorm { eps } => row::layer_norm(command, eps.get()),
        Kind::ModulatedNorm { eps, splits, .. } => row::modulated_norm(command, eps.get(), splits),
        Kind::AddGated { split } => row::add_gated(command, split),
        Kind::AddGatedNorm { eps, splits, .. } => row::add_gated_norm(command, eps.get(), splits),
        Kind::Quantise => row::quantise(command),
        Kind::ChannelNorm(activation) => row::channel_norm(command, activation),
        Kind::Add => element::add(command),
        Kind::Swiglu => element::swiglu(command),
        Kind::Activate(activation) => element::activate(command, activation),
        Kind::Copy => element::copy(command, None),
        Kind::Gather => element::copy(command, Some(command.reads[1])),
        Kind::Conv { window, .. } => picture::conv(command, &window),
        Kind::Bytes => picture::bytes(command),
        Kind::Upsample { from } => picture::upsample(command, from),
        Kind::Resize { from, to } => picture::resize(command, from, to),
    };
    Some(launch)
}
