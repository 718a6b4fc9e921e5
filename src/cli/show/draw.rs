//! Images drawn with half blocks: two pixels per character, the upper one in the foreground colour, the lower one in
//! the background colour.
//!
//! An image that claims to be large is not decoded: its first bytes tell its size, and the decoders have limits.

use std::fmt::Write;
use std::io::Cursor;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::cli::show::kind::Kind;

/// The most pixels of an image that is decoded.
const PIXELS_MAX: usize = 8 << 20;
/// The most memory a decoder may take, in bytes.
const DECODER_BYTES_MAX: usize = 64 << 20;
/// The most lines of a drawing.
const LINES_MAX: usize = 40;
/// The colour behind what is transparent.
const BEHIND: u8 = 0x20;

/// A decoded image, three bytes a pixel.
struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// The lines of a drawing; none where the image is too large, broken, or of a format that is not drawn.
pub(super) fn lines(bytes: &[u8], kind: &Kind, columns: usize) -> Vec<String> {
    let Kind::Image { format, size: Some((width, height)) } = kind else { return Vec::new() };
    let fits = width.checked_mul(*height).is_some_and(|pixels| (1..=PIXELS_MAX).contains(&pixels));
    let picture = match *format {
        "PNG" if fits => decode_png(bytes),
        "JPEG" if fits => decode_jpeg(bytes),
        _ => None,
    };
    picture.filter(Picture::is_sound).map(|picture| picture.drawn(columns)).unwrap_or_default()
}

fn decode_png(bytes: &[u8]) -> Option<Picture> {
    let limits = png::Limits { bytes: DECODER_BYTES_MAX };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().ok()?;
    let mut buffer = vec![0; reader.output_buffer_size().filter(|size| *size <= DECODER_BYTES_MAX)?];
    let frame = reader.next_frame(&mut buffer).ok()?;
    let samples = frame.color_type.samples();
    let pixels = buffer.get(..frame.buffer_size())?.chunks_exact(samples).flat_map(|pixel| match *pixel {
        [grey] => [grey; 3],
        [grey, alpha] => [over(grey, alpha); 3],
        [red, green, blue] => [red, green, blue],
        [red, green, blue, alpha] => [red, green, blue].map(|value| over(value, alpha)),
        _ => [BEHIND; 3],
    });
    Some(Picture { width: frame.width as usize, height: frame.height as usize, pixels: pixels.collect() })
}

fn decode_jpeg(bytes: &[u8]) -> Option<Picture> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().ok()?;
    let (width, height) = decoder.dimensions()?;
    // What the headers say now counts, not what another reader made of them.
    if width.checked_mul(height)? > PIXELS_MAX {
        return None;
    }
    let pixels = decoder.decode().ok()?;
    Some(Picture { width, height, pixels })
}

fn over(value: u8, alpha: u8) -> u8 {
    let [value, alpha, behind] = [value, alpha, BEHIND].map(u32::from);
    u8::try_from((value * alpha + behind * (255 - alpha)) / 255).unwrap_or(u8::MAX)
}

impl Picture {
    fn is_sound(&self) -> bool {
        let pixels = self.width.checked_mul(self.height).and_then(|pixels| pixels.checked_mul(3));
        pixels.is_some_and(|bytes| bytes > 0 && bytes <= self.pixels.len())
    }

    fn drawn(&self, columns: usize) -> Vec<String> {
        let (mut width, mut height) = (self.width.min(columns), LINES_MAX * 2);
        match self.height * width / self.width {
            scaled if scaled <= height => height = scaled.max(1),
            _ => width = (self.width * height / self.height).max(1),
        }
        let pixel = |column: usize, row: usize| {
            let at = ((row * self.height / height) * self.width + column * self.width / width) * 3;
            match self.pixels.get(at..at + 3) {
                Some(&[red, green, blue]) => [red, green, blue],
                _ => [BEHIND; 3],
            }
        };
        (0..height.div_ceil(2))
            .map(|line| {
                let mut text = String::new();
                for column in 0..width {
                    let upper = pixel(column, line * 2);
                    let lower = if line * 2 + 1 < height { pixel(column, line * 2 + 1) } else { [BEHIND; 3] };
                    // Writing into a String cannot fail.
                    let _ = write!(text, "\u{1b}[38;2;{}m\u{1b}[48;2;{}m▀", channels(upper), channels(lower));
                }
                text + "\u{1b}[0m"
            })
            .collect()
    }
}

fn channels([red, green, blue]: [u8; 3]) -> String {
    format!("{red};{green};{blue}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::show::kind;

    fn encoded(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
        bytes
    }

    #[test]
    fn two_pixels_are_one_character() {
        let bytes = encoded(1, 2, &[255, 0, 0, 0, 0, 255]);
        let lines = lines(&bytes, &kind::of(&bytes, true), 80);
        assert_eq!(lines, ["\u{1b}[38;2;255;0;0m\u{1b}[48;2;0;0;255m▀\u{1b}[0m"]);
    }

    #[test]
    fn a_drawing_fits_its_screen() {
        let bytes = encoded(300, 200, &vec![7; 300 * 200 * 3]);
        let lines = lines(&bytes, &kind::of(&bytes, true), 40);
        assert_eq!((lines.len(), lines[0].matches('▀').count()), (13, 40));
    }

    #[test]
    fn a_bomb_is_not_decoded() {
        let bytes = encoded(5000, 5000, &vec![0; 5000 * 5000 * 3]);
        assert!(bytes.len() < 1 << 20);
        assert!(lines(&bytes, &kind::of(&bytes, true), 80).is_empty());
    }
}
