//! A file that redirects a browser to the page. It keeps the code in the URL out of the list of
//! processes.
//!
//! A browser is started with the path of the file, which other users may see. Only the owner can
//! read the file. It is removed when its code is used or expires. The next start removes the files
//! of a killed node.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::durable;

const PREFIX: &str = "page-";
const SUFFIX: &str = ".html";

/// A file that redirects to a URL. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Redirect(PathBuf);

impl Redirect {
    /// Writes a file in `folder` that redirects to `url`, which must hold no markup.
    pub(super) fn write(folder: &Path, url: &str) -> io::Result<Self> {
        let number: u64 = rand::random();
        let path = folder.join(format!("{PREFIX}{number:016x}{SUFFIX}"));
        let mut file = durable::private()
            .write(true)
            .create_new(true)
            .open(&path)?;
        let redirect = Self(path);
        write!(
            file,
            "<!doctype html><meta charset=\"utf-8\"><title>Pelago</title>\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <script>location.replace(\"{url}\")</script>\n\
             <meta http-equiv=\"refresh\" content=\"0; url={url}\">\n\
             <a href=\"{url}\">Pelago</a>\n"
        )?;
        Ok(redirect)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Removes the files that a killed node left in `folder`.
    pub(super) fn clear(folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| {
                let number = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
                (number.len() == 16).then(|| u64::from_str_radix(number, 16).ok())?
            });
            if number.is_some() {
                remove(&entry.path());
            }
        }
    }
}

impl Drop for Redirect {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        // The code in it expires within a minute.
        let path = path.display();
        tracing::warn!(%path, %error, "could not remove a file that opens the page");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_owner_may_read_it_and_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let redirect = Redirect::write(folder.path(), "http://127.0.0.1:7/#code=ab").unwrap();
        let text = fs::read_to_string(redirect.path()).unwrap();
        assert_eq!(text.matches("http://127.0.0.1:7/#code=ab").count(), 3);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = redirect.path().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        drop(redirect);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        std::mem::forget(Redirect::write(folder.path(), "x").unwrap());
        fs::write(folder.path().join("page-mine.html"), "").unwrap();
        Redirect::clear(folder.path());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
