//! A picture as PNG, its letters in a font that is part of the program: nothing has to be installed where it runs.

use super::picture::{LETTERS, Picture, RING, Shape, Side, TITLE};
use tiny_skia::{
    Color, FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, StrokeDash, Transform,
};
use ttf_parser::{Face, OutlineBuilder};

/// Made with `font/subset` from Debian's DejaVu Sans.
const FONT: &[u8] = include_bytes!("font/DejaVuSans.ttf");
/// Pixels in place of one of the picture's, across and down: screens and printers are finer than those.
const FINER: f32 = 2.0;
/// How much thicker a title's letters are.
const BOLD: f32 = 0.6;

impl Picture {
    /// As PNG, in twice as many pixels.
    pub fn png(&self) -> Vec<u8> {
        let pixels = |length: f64| (length as f32 * FINER).ceil() as u32;
        let pixmap = Pixmap::new(pixels(self.width), pixels(self.height));
        let mut pixmap = pixmap.expect("a picture has a size that memory holds");
        pixmap.fill(Color::WHITE);
        let face = Face::parse(FONT, 0).expect("it is part of the program");
        for shape in &self.shapes {
            draw(shape, &face, &mut pixmap);
        }
        pixmap
            .encode_png()
            .expect("what is drawn can be written to memory")
    }
}

fn draw(shape: &Shape, face: &Face<'_>, on: &mut Pixmap) {
    let finer = Transform::from_scale(FINER, FINER);
    let (path, colour, stroke) = match shape {
        Shape::Line {
            points,
            colour,
            width,
            dashed,
        } => {
            let stroke = Stroke {
                width: *width as f32,
                line_join: LineJoin::Round,
                dash: dashed
                    .then(|| StrokeDash::new(vec![5.0, 4.0], 0.0))
                    .flatten(),
                ..Stroke::default()
            };
            (line(points), *colour, Some(stroke))
        }
        Shape::Ring {
            centre: (x, y),
            radius,
            colour,
        } => {
            let stroke = Stroke {
                width: RING as f32,
                ..Stroke::default()
            };
            let circle = PathBuilder::from_circle(*x as f32, *y as f32, *radius as f32);
            (circle, *colour, Some(stroke))
        }
        Shape::Text {
            at,
            side,
            is_title,
            text,
        } => {
            let bold = is_title.then(|| Stroke {
                width: BOLD,
                ..Stroke::default()
            });
            let size = if *is_title { TITLE } else { LETTERS };
            (letters(text, face, size, *at, *side), 0, bold)
        }
    };
    // Nothing, or blanks, have no path.
    let Some(path) = path else { return };
    let [_, red, green, blue] = colour.to_be_bytes();
    let mut paint = Paint::default();
    paint.set_color_rgba8(red, green, blue, u8::MAX);
    if matches!(shape, Shape::Text { .. }) {
        on.fill_path(&path, &paint, FillRule::Winding, finer, None);
    }
    if let Some(stroke) = stroke {
        on.stroke_path(&path, &paint, &stroke, finer, None);
    }
}

fn line(points: &[(f64, f64)]) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (nth, (x, y)) in points.iter().enumerate() {
        let (x, y) = (*x as f32, *y as f32);
        match nth {
            0 => path.move_to(x, y),
            _ => path.line_to(x, y),
        }
    }
    path.finish()
}

/// The outlines of a text. A character that the font lacks is its box.
fn letters(text: &str, face: &Face<'_>, size: f64, (x, y): (f64, f64), side: Side) -> Option<Path> {
    let scale = size as f32 / f32::from(face.units_per_em());
    let mut pen = Pen {
        path: PathBuilder::new(),
        advanced: 0.0,
    };
    for character in text.chars() {
        let glyph = face.glyph_index(character).unwrap_or_default();
        face.outline_glyph(glyph, &mut pen);
        pen.advanced += f32::from(face.glyph_hor_advance(glyph).unwrap_or_default());
    }
    let before = pen.advanced
        * match side {
            Side::Left => 0.0,
            Side::Middle => 0.5,
            Side::Right => 1.0,
        };
    let place = Transform::from_translate(-before, 0.0)
        .post_scale(scale, -scale)
        .post_translate(x as f32, y as f32);
    pen.path.finish()?.transform(place)
}

/// Draws letters, one to the right of the other, in the font's units.
struct Pen {
    path: PathBuilder,
    advanced: f32,
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.move_to(x + self.advanced, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.path.line_to(x + self.advanced, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let by = self.advanced;
        self.path.quad_to(x1 + by, y1, x + by, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let by = self.advanced;
        self.path.cubic_to(x1 + by, y1, x2 + by, y2, x + by, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_what_is_written() {
        let face = Face::parse(FONT, 0).unwrap();
        for character in (' '..='~').chain("±µ·×–—…≤≥".chars()) {
            assert!(face.glyph_index(character).is_some(), "{character}");
        }
    }

    #[test]
    fn a_text_ends_where_it_is_put() {
        let face = Face::parse(FONT, 0).unwrap();
        let bounds = |side| {
            letters("12.5 ms", &face, LETTERS, (100.0, 50.0), side)
                .unwrap()
                .bounds()
        };
        let [left, middle, right] = [Side::Left, Side::Middle, Side::Right].map(bounds);
        assert!((100.0..102.0).contains(&left.left()), "{left:?}");
        assert!((98.0..=100.0).contains(&right.right()), "{right:?}");
        let centre = f32::midpoint(middle.left(), middle.right());
        assert!((99.0..101.0).contains(&centre), "{middle:?}");
        assert!(
            (38.0..42.0).contains(&left.top()) && left.bottom() < 51.0,
            "{left:?}"
        );
    }
}
