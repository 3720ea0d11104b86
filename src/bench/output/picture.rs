//! A picture made of lines and texts, and how it is written as SVG. It knows nothing of what it shows.

use std::fmt::Write as _;

/// Between pictures that stand one below the other.
const DISTANCE: f64 = 10.0;
/// Height of letters, of a title's, and how thick rings and lines of a grid are, in pixels.
pub(super) const LETTERS: f64 = 12.0;
pub(super) const TITLE: f64 = 15.0;
pub(super) const RING: f64 = 1.5;
const THIN: f64 = 1.0;

/// Something to draw. Places are in pixels from the left and from the top.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// From point to point.
    Line {
        points: Vec<(f64, f64)>,
        /// Red, green and blue, an octet each.
        colour: u32,
        width: f64,
        dashed: bool,
    },
    Ring {
        centre: (f64, f64),
        radius: f64,
        colour: u32,
    },
    /// On a base line.
    Text {
        at: (f64, f64),
        /// Which side of it is there.
        side: Side,
        is_title: bool,
        text: String,
    },
}

/// A side of a text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Left,
    Middle,
    Right,
}

/// What is written to a file.
#[derive(Clone, Debug)]
pub struct Picture {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) shapes: Vec<Shape>,
}

impl Shape {
    /// A line of a grid.
    pub(super) fn thin(points: Vec<(f64, f64)>, colour: u32) -> Self {
        Self::Line {
            points,
            colour,
            width: THIN,
            dashed: false,
        }
    }

    pub(super) fn text(at: (f64, f64), side: Side, text: &str) -> Self {
        Self::Text {
            at,
            side,
            is_title: false,
            text: text.to_owned(),
        }
    }

    /// The same, so much further down.
    fn lower(mut self, by: f64) -> Self {
        match &mut self {
            Self::Line { points, .. } => points.iter_mut().for_each(|(_, y)| *y += by),
            Self::Ring { centre: at, .. } | Self::Text { at, .. } => at.1 += by,
        }
        self
    }

    fn svg(&self) -> String {
        match self {
            Self::Line {
                points,
                colour,
                width,
                dashed,
            } => {
                let dash = match dashed {
                    true => " stroke-dasharray=\"5 4\"",
                    false => "",
                };
                let mut path = String::new();
                for (nth, (x, y)) in points.iter().enumerate() {
                    let command = if nth == 0 { 'M' } else { 'L' };
                    write!(path, "{command}{x:.1} {y:.1}").expect("a text takes everything");
                }
                format!(
                    "<path d=\"{path}\" fill=\"none\" stroke=\"#{colour:06x}\" stroke-width=\"{width}\"{dash}/>\n"
                )
            }
            Self::Ring {
                centre: (x, y),
                radius,
                colour,
            } => format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"none\" stroke=\"#{colour:06x}\" stroke-width=\"{RING}\"/>\n"
            ),
            Self::Text {
                at: (x, y),
                side,
                is_title,
                text,
            } => {
                let anchor = match side {
                    Side::Left => "start",
                    Side::Middle => "middle",
                    Side::Right => "end",
                };
                let title = match is_title {
                    true => format!(" font-size=\"{TITLE}\" font-weight=\"bold\""),
                    false => String::new(),
                };
                format!(
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{title}>{}</text>\n",
                    escaped(text)
                )
            }
        }
    }
}

impl Picture {
    /// All of them, one below the other.
    pub(super) fn stacked(pictures: impl IntoIterator<Item = Self>) -> Self {
        let mut whole = Self {
            width: 0.0,
            height: 0.0,
            shapes: vec![],
        };
        for picture in pictures {
            let lowered = picture.shapes.into_iter();
            whole
                .shapes
                .extend(lowered.map(|it| it.lower(whole.height)));
            whole.width = whole.width.max(picture.width);
            whole.height += picture.height + DISTANCE;
        }
        whole
    }

    /// As SVG, in whatever font there is.
    pub fn svg(&self) -> String {
        let Self { width, height, .. } = self;
        let shapes: String = self.shapes.iter().map(Shape::svg).collect();
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"sans-serif\" font-size=\"{LETTERS}\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{shapes}</svg>\n"
        )
    }
}

/// Text in XML and HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
