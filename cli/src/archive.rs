//! A tar archive of a few small texts (POSIX.1-1988 `ustar`), which every system can open.

/// Everything in a tar archive comes in blocks of so many bytes.
const BLOCK: usize = 512;

/// An archive in memory: what goes in is bounded by whoever puts it in.
#[derive(Debug, Default)]
pub(crate) struct Archive(Vec<u8>);

impl Archive {
    /// Adds a file that only its owner may read. `name`: ASCII, at most 100 bytes. `at`: Unix seconds.
    pub(crate) fn add(&mut self, name: &str, text: &str, at: u64) {
        let mut header = [0_u8; BLOCK];
        let mut put =
            |offset: usize, field: &[u8]| header[offset..offset + field.len()].copy_from_slice(field);
        let name = &name.as_bytes()[..name.len().min(100)];
        put(0, name);
        put(100, b"0000600\0");
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, format!("{:011o}\0", text.len()).as_bytes());
        put(136, format!("{at:011o}\0").as_bytes());
        // The checksum counts its own field as spaces.
        put(148, b"        ");
        put(156, b"0");
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(text.as_bytes());
        self.pad();
    }

    /// Its bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 2 * BLOCK]);
        self.0
    }

    fn pad(&mut self) {
        let whole = self.0.len().next_multiple_of(BLOCK);
        self.0.resize(whole, 0);
    }
}
