//! What the library is told of.
#![expect(unsafe_code, reason = "cuDNN is a C library")]

use cudarc::cudnn::sys::{
    self, cudnnBackendAttributeName_t as Name, cudnnBackendAttributeType_t as Type,
    cudnnBackendDescriptorType_t as What,
};

use super::super::{super::DeviceError, error::Called as _};

/// Something that the library was told.
pub(super) struct Descriptor(pub(super) sys::cudnnBackendDescriptor_t);

impl Descriptor {
    pub(super) fn new(what: What) -> Result<Self, DeviceError> {
        let mut descriptor = std::ptr::null_mut();
        // SAFETY: it writes one pointer.
        unsafe { sys::cudnnBackendCreateDescriptor(what, &raw mut descriptor) }
            .called("cudnnBackendCreateDescriptor")?;
        Ok(Self(descriptor))
    }

    pub(super) fn with<T>(self, name: Name, kind: Type, values: &[T]) -> Result<Self, DeviceError> {
        // SAFETY: each attribute is set with values of its type, which are copied.
        unsafe {
            sys::cudnnBackendSetAttribute(
                self.0,
                name,
                kind,
                values.len() as i64,
                values.as_ptr().cast(),
            )
        }
        .called("cudnnBackendSetAttribute")?;
        Ok(self)
    }

    pub(super) fn with_descriptor(self, name: Name, other: &Self) -> Result<Self, DeviceError> {
        self.with(name, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, &[other.0])
    }

    pub(super) fn finalised(self) -> Result<Self, DeviceError> {
        // SAFETY: it lives.
        unsafe { sys::cudnnBackendFinalize(self.0) }.called("cudnnBackendFinalize")?;
        Ok(self)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: it is used no more.
        let _ = unsafe { sys::cudnnBackendDestroyDescriptor(self.0) };
    }
}
