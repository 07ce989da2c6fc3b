//! Reports that stay small enough to be read by those whom they are for.

/// Bytes of what is listed in a report: runners refuse larger ones, some from ten megabytes on.
pub(super) const LARGEST: usize = 8_000_000;

/// The first of some pieces, as many as are not too large together, and the others.
pub(super) fn fit<T>(
    pieces: impl IntoIterator<Item = T>,
    size: impl Fn(&T) -> usize,
) -> (Vec<T>, Vec<T>) {
    let mut total = 0;
    let (mut kept, mut left) = (Vec::new(), Vec::new());
    for piece in pieces {
        total += size(&piece);
        match total <= LARGEST {
            true => kept.push(piece),
            false => left.push(piece),
        }
    }
    (kept, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ones_are_kept() {
        let (kept, left) = fit([LARGEST - 1, 1, 1, 7], |size| *size);
        assert_eq!((kept, left), (vec![LARGEST - 1, 1], vec![1, 7]));
    }
}
