//! A plot for each case: a point for each row at its median, on a line that spans all of its runs.

use std::path::Path;

use plotters::{
    chart::ChartBuilder,
    drawing::IntoDrawingArea,
    element::{Circle, PathElement},
    prelude::{IntoSegmentedCoord, SVGBackend, SegmentValue},
    style::{BLUE, Color, WHITE},
};

use crate::{
    Failure,
    figures::{Figures, Interest, Row},
};

/// Pixels, across and down.
const SIZE: (u32, u32) = (900, 450);

/// Pixels of the labels below and to the left.
const LABELS: (u32, u32) = (50, 80);

/// Draws `figures` into `folder`, in a file named after the case.
pub(crate) fn draw(figures: &Figures, folder: &Path) -> Result<(), Failure> {
    let path = folder.join(format!("benchmark_{}.svg", figures.case));
    let area = SVGBackend::new(&path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let points: Vec<Point> = figures
        .rows
        .iter()
        .map(|row| Point::new(row, figures.interest))
        .collect();
    let (lowest, highest) = bounds(&points, figures.interest);
    let mut chart = ChartBuilder::on(&area)
        .caption(&figures.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(LABELS.0)
        .y_label_area_size(LABELS.1)
        .build_cartesian_2d(
            (0..points.len().saturating_sub(1)).into_segmented(),
            lowest..highest,
        )?;
    let label = |at: &SegmentValue<usize>| match at {
        SegmentValue::CenterOf(row) => figures.rows.get(*row).map(|row| row.label.clone()),
        _ => None,
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(points.len())
        .x_label_formatter(&|at| label(at).unwrap_or_default())
        .y_labels(figures.interest.labels(lowest, highest))
        .y_desc(figures.interest.unit())
        .y_label_formatter(&|value| figures.interest.text(*value))
        .draw()?;
    let at = |(row, value)| (SegmentValue::CenterOf(row), value);
    chart.draw_series(points.iter().enumerate().map(|(row, point)| {
        PathElement::new(vec![at((row, point.low)), at((row, point.high))], BLUE)
    }))?;
    chart.draw_series(
        points
            .iter()
            .enumerate()
            .map(|(row, point)| Circle::new(at((row, point.middle)), 5, BLUE.filled())),
    )?;
    Ok(area.present()?)
}

/// A row as it is drawn.
struct Point {
    low: f64,
    middle: f64,
    high: f64,
}

impl Point {
    fn new(row: &Row, interest: Interest) -> Self {
        let [low, middle, high] = match interest {
            Interest::Rate => [row.most(), row.median(), row.least()].map(|t| row.rate(t) / 1e6),
            // Times differ by orders of magnitude.
            Interest::Time => [row.least(), row.median(), row.most()]
                .map(|time| (time.as_secs_f64() * 1e3).max(1e-3).log10()),
        };
        Self { low, middle, high }
    }
}

/// The range of the plot, from top to bottom.
fn bounds(points: &[Point], interest: Interest) -> (f64, f64) {
    let highest = points.iter().map(|p| p.high).fold(f64::MIN, f64::max);
    let lowest = points.iter().map(|p| p.low).fold(f64::MAX, f64::min);
    match interest {
        Interest::Rate => (0.0, highest * 1.1),
        Interest::Time => (lowest.floor(), highest.ceil()),
    }
}

impl Interest {
    const fn unit(self) -> &'static str {
        match self {
            Self::Rate => "MB/s",
            Self::Time => "milliseconds",
        }
    }

    /// The number of values beside the axis; of times, each power of ten.
    fn labels(self, lowest: f64, highest: f64) -> usize {
        match self {
            Self::Rate => 10,
            Self::Time => (highest - lowest) as usize + 1,
        }
    }

    fn text(self, value: f64) -> String {
        match self {
            Self::Rate if value < 10.0 => format!("{value:.1}"),
            Self::Rate => format!("{value:.0}"),
            Self::Time => format!("{}", 10_f64.powf(value)),
        }
    }
}
