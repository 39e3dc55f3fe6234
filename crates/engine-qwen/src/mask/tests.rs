use image::{Rgb, RgbImage};
use proptest::prelude::*;
use tryon_core::category::Category::{self, Bottoms, OnePieces, Tops};

use super::{
    Cover, cover,
    label::{Label, Recipe},
    paint,
};
use crate::parse::Parsing;

const GARMENTS: [Category; 3] = [Tops, Bottoms, OnePieces];

const SKIN: [Label; 5] = [
    Label::Face,
    Label::LeftArm,
    Label::RightArm,
    Label::LeftLeg,
    Label::RightLeg,
];

/// A person of 200x300: each part a rectangle, later ones on top.
const PARTS: [(Label, [u32; 4]); 10] = [
    (Label::Hair, [85, 20, 115, 40]),
    (Label::Face, [88, 30, 112, 60]),
    (Label::UpperClothes, [75, 66, 125, 140]),
    (Label::LeftArm, [130, 70, 140, 150]),
    (Label::RightArm, [60, 70, 70, 150]),
    (Label::Pants, [75, 140, 125, 200]),
    (Label::LeftLeg, [105, 200, 125, 270]),
    (Label::RightLeg, [75, 200, 95, 270]),
    (Label::LeftShoe, [105, 270, 130, 285]),
    (Label::RightShoe, [70, 270, 95, 285]),
];

/// The parts of a person that are wanted, each pixel `scale` times as large.
fn person(scale: usize, wanted: impl Fn(Label) -> bool) -> Parsing {
    let (width, height) = (200 * scale, 300 * scale);
    let class = |i: usize| {
        let (x, y) = (i % width / scale, i / width / scale);
        let here = |[left, top, right, bottom]: [u32; 4]| {
            (left..right).contains(&(x as u32)) && (top..bottom).contains(&(y as u32))
        };
        let mut parts = PARTS.iter().rev();
        parts
            .find(|(label, bounds)| wanted(*label) && here(*bounds))
            .map_or(0, |(label, _)| *label as u8)
    };
    Parsing {
        width,
        height,
        classes: (0..width * height).map(class).collect(),
    }
}

fn bounds(cover: &Cover) -> [u32; 4] {
    let mask = &cover.mask;
    let inside = (0..mask.height).flat_map(|y| (0..mask.width).map(move |x| (x, y)));
    let inside: Vec<_> = inside.filter(|(x, y)| mask.contains(*x, *y)).collect();
    let columns = || inside.iter().map(|(x, _)| *x);
    let rows = || inside.iter().map(|(_, y)| *y);
    [
        columns().min().unwrap(),
        rows().min().unwrap(),
        columns().max().unwrap() + 1,
        rows().max().unwrap() + 1,
    ]
}

/// How many pixels of a class are painted, and how many there are.
fn painted(parsing: &Parsing, cover: &Cover, label: Label) -> (usize, usize) {
    let of_class = || {
        (parsing.classes.iter().zip(&cover.mask.data)).filter(|(class, _)| **class == label as u8)
    };
    let painted = of_class().filter(|(_, painted)| **painted).count();
    (painted, of_class().count())
}

/// Fails when the garment is not painted whole, or something that stays is.
fn check(parsing: &Parsing, category: Category, cover: &Cover) {
    let recipe = Recipe::of(category).unwrap();
    for (class, painted) in parsing.classes.iter().zip(&cover.mask.data) {
        assert!(*painted || !recipe.core.contains(*class), "{class}");
        assert!(!painted || !recipe.kept.contains(*class), "{class}");
    }
}

#[test]
fn tops_cover_torso_and_arms() {
    let person = person(1, |_| true);
    let tops = cover(&person, Tops).unwrap();
    assert!(tops.confident);
    check(&person, Tops, &tops);
    // 300 / 50, made odd, is a square of 7: 3 on each side. The face ends at 60, with 3 to spare.
    assert_eq!(bounds(&tops), [57, 63, 143, 153]);
    assert!(tops.mask.contains(127, 100), "between torso and arm");
    let (arm, of) = painted(&person, &tops, Label::LeftArm);
    assert_eq!(arm, of);
    assert_eq!(painted(&person, &tops, Label::Pants).0, 0);
}

#[test]
fn bottoms_cover_hip_and_legs() {
    let person = person(1, |_| true);
    let bottoms = cover(&person, Bottoms).unwrap();
    assert!(bottoms.confident);
    check(&person, Bottoms, &bottoms);
    assert_eq!(bounds(&bottoms), [72, 140, 128, 273]);
    assert!(bottoms.mask.contains(100, 250), "between the legs");
    assert_eq!(painted(&person, &bottoms, Label::UpperClothes).0, 0);
}

#[test]
fn one_pieces_cover_what_tops_and_bottoms_do() {
    let person = person(1, |_| true);
    let whole = cover(&person, OnePieces).unwrap();
    check(&person, OnePieces, &whole);
    for part in [Tops, Bottoms] {
        let part = cover(&person, part).unwrap().mask;
        let both = part.data.iter().zip(&whole.mask.data);
        assert!(both.clone().all(|(part, whole)| !part || *whole));
    }
    assert!(!whole.mask.contains(100, 45), "the face");
    assert!(!whole.mask.contains(115, 275), "a shoe");
}

#[test]
fn a_large_picture_is_covered_alike() {
    let (small, large) = (person(1, |_| true), person(9, |_| true));
    for category in GARMENTS {
        let cover_of = |person| cover(person, category).unwrap();
        let (small, large) = (cover_of(&small), cover_of(&large));
        assert!(large.confident);
        check(&person(9, |_| true), category, &large);
        let difference = (small.mask.share() - large.mask.share()).abs();
        assert!(difference < 0.01, "{category:?}: {difference}");
    }
}

#[test]
fn a_garment_that_is_not_worn_is_guessed_from_the_body() {
    let bare = person(1, |label| SKIN.contains(&label));
    // From the chin to the legs, then to their end.
    let expected = [
        (Tops, [60, 60, 140, 200]),
        (Bottoms, [60, 200, 140, 270]),
        (OnePieces, [60, 60, 140, 270]),
    ];
    for (category, rectangle) in expected {
        let guess = cover(&bare, category).unwrap();
        assert!(!guess.confident);
        check(&bare, category, &guess);
        assert_eq!(bounds(&guess), rectangle, "{category:?}");
    }
}

#[test]
fn a_guess_needs_only_one_part() {
    let of = |label| cover(&person(1, |part| part == label), Tops).map(|cover| bounds(&cover));
    assert_eq!(of(Label::Face), Some([64, 60, 136, 150]));
    assert_eq!(of(Label::LeftArm), Some([130, 70, 140, 150]));
    assert_eq!(of(Label::LeftLeg), Some([105, 130, 125, 197]));
    assert_eq!(of(Label::Hair), None);
    let bottoms = cover(&person(1, |part| part == Label::UpperClothes), Bottoms).unwrap();
    assert!(!bottoms.confident);
    assert_eq!(bounds(&bottoms), [75, 143, 125, 300]);
}

#[test]
fn a_speck_is_no_garment() {
    let mut bare = person(1, |label| SKIN.contains(&label));
    bare.classes[5 * 200 + 5] = Label::UpperClothes as u8;
    let guess = cover(&bare, Tops).unwrap();
    assert!(!guess.confident);
    check(&bare, Tops, &guess);
    assert!(guess.mask.contains(100, 100), "the torso");
}

#[test]
fn a_picture_of_one_pixel_is_covered() {
    let pixel = Parsing {
        width: 1,
        height: 1,
        classes: vec![Label::Dress as u8],
    };
    for category in GARMENTS {
        assert_eq!(cover(&pixel, category).unwrap().mask.data, [true]);
    }
}

#[test]
fn nobody_is_not_covered() {
    for (width, height) in [(0, 0), (0, 5), (1, 1), (200, 300)] {
        let classes = vec![0; width * height];
        let empty = Parsing {
            width,
            height,
            classes,
        };
        for category in GARMENTS {
            assert_eq!(cover(&empty, category), None);
        }
    }
}

#[test]
fn only_garments_are_covered() {
    let person = person(1, |_| true);
    for category in [
        Category::Auto,
        Category::Eyewear,
        Category::Footwear,
        Category::Headwear,
        Category::Jewelry,
        Category::Accessories,
        Category::Others,
    ] {
        assert_eq!(cover(&person, category), None);
    }
}

#[test]
fn paint_is_pure_and_only_inside() {
    let person = person(1, |_| true);
    let picture = RgbImage::from_fn(200, 300, |x, y| Rgb([x as u8, 7, y as u8]));
    let mask = cover(&person, Tops).unwrap().mask;
    let green = paint(&picture, &mask);
    for (x, y, pixel) in green.enumerate_pixels() {
        let expected = if mask.contains(x, y) {
            Rgb([0, 255, 0])
        } else {
            *picture.get_pixel(x, y)
        };
        assert_eq!(*pixel, expected);
    }
}

/// A parsing of blocks of up to 12 pixels a side, cut off anywhere.
fn blocky() -> impl Strategy<Value = Parsing> {
    (1_usize..9, 1_usize..9, 1_usize..13).prop_flat_map(|(columns, rows, block)| {
        let blocks = prop::collection::vec(0_u8..20, columns * rows);
        (blocks, 0..block, 0..block).prop_map(move |(blocks, cut_x, cut_y)| {
            let (width, height) = (columns * block - cut_x, rows * block - cut_y);
            let class = |i| blocks[i / width / block * columns + i % width / block];
            Parsing {
                width,
                height,
                classes: (0..width * height).map(class).collect(),
            }
        })
    })
}

proptest! {
    #[test]
    fn any_cover_has_the_garment_and_nothing_that_stays(parsing in blocky()) {
        for category in GARMENTS {
            let first = cover(&parsing, category);
            prop_assert_eq!(&first, &cover(&parsing, category));
            let recipe = Recipe::of(category).unwrap();
            let garment = parsing.classes.iter().filter(|class| recipe.core.contains(**class));
            let seen = garment.count() * 1000 >= parsing.classes.len();
            prop_assert_eq!(seen, first.as_ref().is_some_and(|cover| cover.confident));
            if let Some(cover) = first {
                check(&parsing, category, &cover);
                prop_assert_eq!(cover.mask.width as usize, parsing.width);
                prop_assert_eq!(cover.mask.height as usize, parsing.height);
            }
        }
    }
}
