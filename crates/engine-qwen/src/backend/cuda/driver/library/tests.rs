//! What is looked for, found and passed over.

use super::*;

/// What is open is known by its name to every test of this process.
static PARTS: Mutex<()> = Mutex::new(());

/// Looks for cuDNN in a folder alone.
fn look_for_cudnn(folder: &Path) -> (Option<PathBuf>, Search) {
    let mut search = Search::new(Library::Cudnn, None);
    (search.look_in(folder), search)
}

/// A library of this name with nothing of its own, but that it needs another.
fn place(folder: &Path, name: &str, needed: &str) {
    fs::write(folder.join(name), alias::image(name, needed)).unwrap();
}

#[test]
fn what_is_missing_is_named_with_every_place() {
    let folder = tempfile::tempdir().unwrap();
    let (found, search) = look_for_cudnn(folder.path());
    assert!(found.is_none() && search.refused.is_none());
    assert_eq!(search.places, [folder.path().display().to_string()]);
    let error = OpenError::Missing {
        library: Library::Cudnn.name(),
        names: Library::Cudnn.files().join(" or "),
        places: search.places,
    };
    let expected = format!(
        "cuDNN was not found: looked for libcudnn.so.9 in {}",
        folder.path().display()
    );
    assert_eq!(error.to_string(), expected);
}

/// Such a file is no library.
#[test]
fn a_file_that_is_no_library_is_passed_over_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("libcudnn.so.9");
    fs::write(&file, "not one").unwrap();
    let (found, search) = look_for_cudnn(folder.path());
    assert!(found.is_none());
    let error = search.refused.unwrap();
    let expected = format!("`{}` cannot be opened", file.display());
    assert_eq!(error.to_string(), expected);
}

/// What stands for cuDNN here would not end the process, but the real one does.
#[test]
fn a_library_without_one_of_its_parts_is_not_there() {
    let _alone = PARTS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    place(folder.path(), "libcudnn.so.9", "libm.so.6");
    let (last, parts) = Library::Cudnn.parts().split_last().unwrap();
    for part in parts {
        place(folder.path(), part, "libm.so.6");
    }
    let (found, search) = look_for_cudnn(folder.path());
    assert!(found.is_none());
    let error = search.refused.unwrap().to_string();
    let expected = format!(
        "cuDNN is not whole: `{last}` could not be opened beside `{}/libcudnn.so.9`; install all \
         of it",
        folder.path().display()
    );
    assert_eq!(error, expected);
}

/// As after a copy that was refused and that the loader has not closed.
#[test]
fn a_library_with_a_part_of_another_copy_is_passed_over_and_told() {
    let _alone = PARTS.lock().unwrap_or_else(PoisonError::into_inner);
    let [first, second] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let parts = Library::Cudnn.parts();
    for folder in [&first, &second] {
        for part in parts {
            place(folder.path(), part, "libm.so.6");
        }
    }
    let search = Search::new(Library::Cudnn, None);
    let at = second.path().join("libcudnn.so.9");
    assert_eq!(search.open_parts(&at).unwrap().len(), 2 * parts.len());
    let _open = load(&first.path().join(parts[2])).unwrap();
    let error = search.open_parts(&at).unwrap_err().to_string();
    let start = format!("`{}` was found", second.path().join(parts[2]).display());
    assert!(error.starts_with(&start), "{error}");
    assert!(
        error.contains(&format!("another `{}`", parts[2])),
        "{error}"
    );
}

#[test]
fn the_name_that_is_asked_for_first_counts() {
    let is = |names: [&'static str; 2], name| {
        let opened = first_of(names.into_iter()).unwrap();
        handle(opened).1 == handle(load(Path::new(name)).unwrap()).1
    };
    assert!(is(["libm.so.6", "libc.so.6"], "libm.so.6"));
    assert!(is(["libtryon-no-alias.so", "libc.so.6"], "libc.so.6"));
    assert!(first_of(["libtryon-no-alias.so", "libtryon.so.1"].into_iter()).is_err());
}

#[test]
fn a_library_of_a_newer_cuda_than_the_drivers_is_passed_over_and_told() {
    let package = super::super::compile::tests::package();
    let driver = CudaVersion::from(12_040);
    let mut search = Search::new(Library::Nvrtc, Some(driver));
    assert_eq!(search.look_in(&package), None);
    let expected = format!(
        "`{}/libnvrtc.so.13` is of CUDA 13.0, and the driver knows CUDA 12.4 at most: install a \
         newer driver, or NVIDIA's libraries for CUDA 12",
        package.display()
    );
    let error = search.refused.expect("`test.sh` installs NVRTC");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn packages_of_every_python_are_looked_into() {
    let root = tempfile::tempdir().unwrap();
    for python in ["python3.12/site-packages", "python3/dist-packages", "other"] {
        fs::create_dir_all(root.path().join(python)).unwrap();
    }
    let names: Vec<_> = sites(root.path())
        .iter()
        .map(|site| site.strip_prefix(root.path()).unwrap().to_owned())
        .collect();
    let expected = ["python3/dist-packages", "python3.12/site-packages"];
    assert_eq!(names, expected.map(PathBuf::from));
}
