//! The kernels on a device.
#![expect(unsafe_code, reason = "the driver is a C library")]

use std::{
    collections::HashMap,
    ffi::{CString, c_void},
    path::Path,
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

/// All of them, by their names. Their modules stay loaded until the context goes.
pub(super) struct Kernels(HashMap<&'static str, sys::CUfunction>);

// SAFETY: functions are handles of a context, which any thread may enter.
unsafe impl Send for Kernels {}
// SAFETY: likewise.
unsafe impl Sync for Kernels {}

impl Kernels {
    /// Compiles those that are not in the cache.
    pub(super) fn load(context: &Context, cache: Option<&Path>) -> Result<Self, OpenError> {
        let (major, minor) = context.listed.capability;
        let target = Target::of(10 * major + minor)?;
        let mut functions = HashMap::new();
        for source in &SOURCES {
            let code = compile::compiled(source, target, cache)?;
            // SAFETY: the code is NVRTC's, whole: files of the cache are renamed once complete.
            let module = unsafe { module::load_data(code.as_ptr().cast()) };
            let module = module.called("cuModuleLoadData")?;
            for kernel in source.kernels {
                let name = CString::new(*kernel).expect("BUG: a name has no zeros");
                // SAFETY: the module was just loaded, and is not unloaded.
                let found = unsafe { module::get_function(module, name) };
                functions.insert(*kernel, found.called("cuModuleGetFunction")?);
            }
        }
        Ok(Self(functions))
    }

    pub(super) fn launch(&self, context: &Context, launch: &Launch) -> Result<(), DeviceError> {
        let function = self.0[launch.kernel];
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
