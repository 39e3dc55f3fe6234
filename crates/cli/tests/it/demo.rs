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
    // Three rows of two cases, of which each is a person, a garment and a result.
    assert_eq!(sheet.height(), 3 * (640 + 16) + 16);
    let sheet = sheet.to_rgb8();
    let place = |number: u32| {
        let (x, y) = (16 + number * (480 + 16), 16);
        image::imageops::crop_imm(&sheet, x, y, 480, 640).to_image()
    };
    let (person, result) = (place(0), place(2));
    let made = picture.resize_exact(480, 640, image::imageops::FilterType::Triangle);
    assert_eq!(
        result,
        made.to_rgb8(),
        "the result stands beside its inputs"
    );
    assert_ne!(result, person);
    let texts =
        tryon_picture::read_text(&std::fs::read(folder.path().join("demo-sheet.png")).unwrap());
    let says = |(_, text): &(String, String)| text.contains("not a generative model");
    assert!(texts.iter().any(says), "{texts:?}");
}
