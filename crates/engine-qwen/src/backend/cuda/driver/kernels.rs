//! The kernels on a device.
#![expect(unsafe_code, reason = "the driver is a C library")]

use std::{
    collections::HashMap,
    ffi::{CString, c_void},
    path::Path,
    sync::Arc,
};

use cudarc::driver::{
    result::{function, launch_kernel, module},
    sys,
};

use super::{
    super::{
        DeviceError,
        kernel::{Launch, SOURCES},
    },
    compile::{self, Target},
    context::Context,
    error::{Called as _, OpenError},
};

/// Shared memory that a kernel may have without asking for more.
const USUAL: u32 = 48 << 10;

/// All of them, by their names.
pub(super) struct Kernels {
    functions: HashMap<&'static str, sys::CUfunction>,
    // What they are in.
    _modules: Vec<Module>,
}

// SAFETY: functions and modules are handles of a context, which any thread may enter.
unsafe impl Send for Kernels {}
// SAFETY: likewise.
unsafe impl Sync for Kernels {}

/// A source's machine code on the device.
struct Module {
    handle: sys::CUmodule,
    context: Arc<Context>,
}

impl Module {
    /// # Safety
    ///
    /// The code is NVRTC's, as that made it.
    unsafe fn load(context: &Arc<Context>, code: &[u8]) -> Result<Self, DeviceError> {
        // SAFETY: the caller says so.
        let handle = unsafe { module::load_data(code.as_ptr().cast()) };
        Ok(Self {
            handle: handle.called("cuModuleLoadData")?,
            context: Arc::clone(context),
        })
    }

    fn function(&self, name: &str) -> Result<sys::CUfunction, DeviceError> {
        let name = CString::new(name).expect("BUG: a name has no zeros");
        // SAFETY: the module is loaded.
        unsafe { module::get_function(self.handle, name) }.called("cuModuleGetFunction")
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let done = self.context.enter().and_then(|()| self.context.finish());
        if self.context.examined(done).is_ok() {
            // SAFETY: nothing of it is under way, and nothing launches it any more.
            let _ = unsafe { module::unload(self.handle) };
        }
    }
}

impl Kernels {
    /// Compiles those that are not in the cache.
    pub(super) fn load(context: &Arc<Context>, cache: Option<&Path>) -> Result<Self, OpenError> {
        let (major, minor) = context.listed.capability;
        let target = Target::of(10 * major + minor)?;
        let (mut functions, mut modules) = (HashMap::new(), Vec::new());
        for source in &SOURCES {
            let code = compile::compiled(source, target, cache)?;
            // SAFETY: it is NVRTC's, and files of the cache are verified.
            let module = unsafe { Module::load(context, &code) }?;
            for kernel in source.kernels {
                functions.insert(*kernel, module.function(kernel)?);
            }
            modules.push(module);
        }
        Ok(Self {
            functions,
            _modules: modules,
        })
    }

    pub(super) fn launch(&self, context: &Context, launch: &Launch) -> Result<(), DeviceError> {
        let function = self.functions[launch.kernel];
        if launch.shared > USUAL {
            let attribute = function_attribute();
            // SAFETY: the function's module stays loaded.
            unsafe { function::set_function_attribute(function, attribute, launch.shared as i32) }
                .called("cuFuncSetAttribute")?;
        }
        let mut values: Vec<u64> = launch.arguments.iter().map(|value| value.bits()).collect();
        let mut pointers: Vec<*mut c_void> = values
            .iter_mut()
            .map(|value| std::ptr::from_mut(value).cast())
            .collect();
        let [x, y, z] = launch.grid;
        // SAFETY: the arguments are the kernel's, in order: `kernel::tests` runs every kernel by
        // the same launch, which refuses another number of them. Addresses are a plan's.
        let launched = unsafe {
            launch_kernel(
                function,
                (x, y, z),
                (launch.block, 1, 1),
                launch.shared,
                context.stream,
                &mut pointers,
            )
        };
        launched.called(launch.kernel)
    }
}

fn function_attribute() -> sys::CUfunction_attribute_enum {
    sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
}
