//! A line chart: axes, grid, legend, lines. It knows no report, and no form of picture.

use super::picture::{Picture, Shape, Side};

/// Size of a chart in pixels, and of its margins.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 36.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const LEGEND_GAP: f64 = 6.0;
const LEGEND_LINE: f64 = 16.0;

/// Colours that the colour-blind tell apart (Okabe and Ito).
const COLOURS: [u32; 7] = [
    0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7, 0xe69f00, 0x56b4e9, 0,
];
/// A ring's radius in pixels, and how many are told apart around each other.
const RADIUS: f64 = 3.0;
const RINGS: usize = 3;
const GRID_ACROSS: u32 = 0xdddddd;
const GRID_DOWN: u32 = 0xeeeeee;

/// A line, or points that are none.
pub(super) struct Line {
    pub(super) name: String,
    /// Which server's: the same colour for all of its lines.
    pub(super) colour: usize,
    pub(super) drawn: Drawn,
    pub(super) points: Vec<(f64, f64)>,
}

/// How points are drawn.
#[derive(Clone, Copy)]
pub(super) enum Drawn {
    Line,
    Dashes,
    /// Each by itself; a later server's around an earlier one's, where both are at the same place.
    Rings,
}

/// How values lie on an axis.
pub(super) enum Scale {
    /// Evenly from zero.
    Linear,
    /// By their logarithm.
    Logarithmic,
    /// At given places, each with its label.
    Places(Vec<(f64, String)>),
}

pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x_label: String,
    pub(super) x: Scale,
    pub(super) y: Scale,
    /// How a value of the y axis is written.
    pub(super) show: fn(f64) -> String,
    pub(super) lines: Vec<Line>,
}

/// An axis: from values to places between 0 and 1, and where values are written.
struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    fn new(scale: &Scale, values: &[f64], show: fn(f64) -> String) -> Self {
        let most = values.iter().copied().fold(0.0, f64::max);
        match scale {
            Scale::Linear => {
                let high = if most > 0.0 { most } else { 1.0 };
                // The 1, 2 or 5 times a power of ten that gives four to ten ticks.
                let raw = high / 5.0;
                let power = 10_f64.powf(raw.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|it| it * power);
                let step = step.into_iter().find(|it| *it >= raw).unwrap_or(raw);
                let count = (high / step).ceil() as usize;
                let ticks = (0..=count).map(|n| n as f64 * step);
                Self {
                    low: 0.0,
                    high: count as f64 * step,
                    logarithmic: false,
                    ticks: ticks.map(|it| (it, show(it))).collect(),
                }
            }
            Scale::Logarithmic => {
                let positive = values.iter().copied().filter(|it| *it > 0.0);
                let least = positive.fold(f64::INFINITY, f64::min);
                let (least, most) = match least.is_finite() {
                    true => (least, most),
                    false => (1.0, 10.0),
                };
                let low = least.log10().floor() as i32;
                let high = (most.log10().ceil() as i32).max(low + 1);
                let ticks = (low..=high).map(|power| 10_f64.powi(power));
                Self {
                    low: 10_f64.powi(low),
                    high: 10_f64.powi(high),
                    logarithmic: true,
                    ticks: ticks.map(|it| (it, show(it))).collect(),
                }
            }
            Scale::Places(ticks) => {
                let places = || ticks.iter().map(|(place, _)| *place);
                let low = places().fold(f64::INFINITY, f64::min);
                Self {
                    low,
                    high: places().fold(low + 1e-9, f64::max),
                    logarithmic: false,
                    ticks: ticks.clone(),
                }
            }
        }
    }

    fn place(&self, value: f64) -> f64 {
        let place = match self.logarithmic {
            true => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        place.clamp(0.0, 1.0)
    }
}

impl Line {
    fn draw(&self, points: Vec<(f64, f64)>, shapes: &mut Vec<Shape>) {
        let colour = COLOURS[self.colour % COLOURS.len()];
        let radius = RADIUS + (self.colour % RINGS) as f64 * 2.0;
        let ring = |centre| Shape::Ring {
            centre,
            radius,
            colour,
        };
        match self.drawn {
            Drawn::Rings => shapes.extend(points.into_iter().map(ring)),
            drawn => shapes.push(Shape::Line {
                points,
                colour,
                width: 2.0,
                dashed: matches!(drawn, Drawn::Dashes),
            }),
        }
    }
}

impl Chart {
    /// What is drawn.
    pub(super) fn picture(&self) -> Picture {
        let values = |of: fn(&(f64, f64)) -> f64| -> Vec<f64> {
            let points = self.lines.iter().flat_map(|line| &line.points);
            points.map(of).collect()
        };
        let x = Axis::new(&self.x, &values(|(x, _)| *x), |value| format!("{value}"));
        let y = Axis::new(&self.y, &values(|(_, y)| *y), self.show);
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let x_of = |value| LEFT + x.place(value) * (right - LEFT);
        let y_of = |value| bottom - y.place(value) * (bottom - TOP);
        let label = |x, y, side, text: &str| Shape::text((x, y), side, text);
        let mut shapes = vec![Shape::Text {
            at: (LEFT, 22.0),
            side: Side::Left,
            is_title: true,
            text: self.title.clone(),
        }];
        for (value, text) in &y.ticks {
            let at = y_of(*value);
            shapes.push(Shape::thin(vec![(LEFT, at), (right, at)], GRID_ACROSS));
            shapes.push(label(LEFT - 6.0, at + 4.0, Side::Right, text));
        }
        for (value, text) in &x.ticks {
            let at = x_of(*value);
            shapes.push(Shape::thin(vec![(at, TOP), (at, bottom)], GRID_DOWN));
            shapes.push(label(at, bottom + 18.0, Side::Middle, text));
        }
        let middle = f64::midpoint(LEFT, right);
        shapes.push(label(middle, bottom + 36.0, Side::Middle, &self.x_label));
        for (nth, line) in self.lines.iter().enumerate() {
            let points = line.points.iter().map(|(x, y)| (x_of(*x), y_of(*y)));
            let at = HEIGHT + LEGEND_GAP + nth as f64 * LEGEND_LINE;
            line.draw(points.collect(), &mut shapes);
            let sample = match line.drawn {
                Drawn::Rings => vec![(LEFT + 15.0, at - 4.0)],
                _ => vec![(LEFT, at - 4.0), (LEFT + 30.0, at - 4.0)],
            };
            line.draw(sample, &mut shapes);
            shapes.push(label(LEFT + 38.0, at, Side::Left, &line.name));
        }
        Picture {
            width: WIDTH,
            height: HEIGHT + self.lines.len() as f64 * LEGEND_LINE,
            shapes,
        }
    }
}
