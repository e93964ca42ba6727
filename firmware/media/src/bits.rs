//! Bits of an RBSP (H.264 7.3.1, H.265 7.3.1.1): h264-reader's bounded reader with two liberties that cameras need.

use core::num::NonZeroUsize;

use h264_reader::rbsp::{BitRead, BitReader, BitReaderError, ByteReader, Numeric, Primitive};

/// Reads the syntax elements of one NAL unit, after its header, without its emulation prevention bytes.
pub(crate) struct Bits<'a> {
    inner: BitReader<ByteReader<&'a [u8]>>,
    vui: bool,
}

impl<'a> Bits<'a> {
    /// The bits after a header of `header` bytes.
    pub(crate) fn new(unit: &'a [u8], header: NonZeroUsize) -> Self {
        Self { inner: BitReader::new(ByteReader::skipping_bytes(unit, header)), vui: true }
    }

    /// Takes any VUI for absent: it stands last in an H.264 SPS, and cameras break it more often than the rest.
    pub(crate) fn without_vui(self) -> Self {
        Self { vui: false, ..self }
    }

    /// Passes over `count` unsigned Exp-Golomb values.
    pub(crate) fn skip_ue(&mut self, count: u32, name: &'static str) -> Result<(), BitReaderError> {
        for _ in 0..count {
            self.read_ue(name)?;
        }
        Ok(())
    }
}

impl BitRead for Bits<'_> {
    fn read_ue(&mut self, name: &'static str) -> Result<u32, BitReaderError> {
        self.inner.read_ue(name)
    }

    fn read_se(&mut self, name: &'static str) -> Result<i32, BitReaderError> {
        self.inner.read_se(name)
    }

    fn read_bool(&mut self, name: &'static str) -> Result<bool, BitReaderError> {
        let bit = self.inner.read_bool(name)?;
        Ok(bit && (self.vui || name != "vui_parameters_present_flag"))
    }

    fn read<U: Numeric>(&mut self, bit_count: u32, name: &'static str) -> Result<U, BitReaderError> {
        self.inner.read(bit_count, name)
    }

    fn read_to<V: Primitive>(&mut self, name: &'static str) -> Result<V, BitReaderError> {
        self.inner.read_to(name)
    }

    fn skip(&mut self, bit_count: u32, name: &'static str) -> Result<(), BitReaderError> {
        self.inner.skip(bit_count, name)
    }

    fn has_more_rbsp_data(&mut self, name: &'static str) -> Result<bool, BitReaderError> {
        self.inner.has_more_rbsp_data(name)
    }

    // Some cameras append bytes to their SPS; all that is needed has been read by then.
    fn finish_rbsp(self) -> Result<(), BitReaderError> {
        Ok(())
    }

    fn finish_sei_payload(self) -> Result<(), BitReaderError> {
        self.inner.finish_sei_payload()
    }
}
