//! `tryon demo`: what a newcomer sees first.

use crate::process::run;

#[test]
fn the_demo_ends_with_a_picture_and_a_sheet() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["demo"]);
    assert!(said.contains("a preview, not a generative model"), "{said}");
    let completed = said
        .lines()
        .filter(|line| line.starts_with("completed job "));
    assert_eq!(completed.count(), 6, "{said}");
    let picture = image::open(folder.path().join("demo.png")).unwrap();
    assert_eq!((picture.width(), picture.height()), (768, 1024));
    let sheet = image::open(folder.path().join("demo-sheet.png")).unwrap();
    assert!(sheet.width() > 3 * picture.width(), "{}", sheet.width());
}
