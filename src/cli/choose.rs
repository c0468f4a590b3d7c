//! Several things under one name: shown by number, for a person to choose.

use tokio::task::spawn_blocking;

use super::{
    list,
    output::Output,
    prompt,
    text::{count, table},
};
use crate::api::types::Listed;

/// What the person at the terminal chose; none if nothing. Asks again after what is no choice.
///
/// # Errors
///
/// The terminal cannot be read or written.
pub(super) async fn choose(
    output: &Output,
    choices: Vec<Listed>,
) -> anyhow::Result<Option<Listed>> {
    output.text(numbered(&choices))?;
    let question = format!("which, 1 to {}, or nothing: ", choices.len());
    loop {
        let question = question.clone();
        let answer = spawn_blocking(move || prompt::ask(&question)).await??;
        let Some(answer) = answer.filter(|answer| !answer.is_empty()) else {
            return Ok(None);
        };
        match chosen(&choices, &answer) {
            Some(chosen) => return Ok(Some(chosen.clone())),
            None => output.note(format_args!(
                "{answer:?} is not one of {}",
                count(choices.len() as u64, "choice")
            )),
        }
    }
}

/// By its number, or by how its hash begins if only one does so.
fn chosen<'a>(choices: &'a [Listed], answer: &str) -> Option<&'a Listed> {
    if let Ok(number) = answer.parse::<usize>()
        && (1..=choices.len()).contains(&number)
    {
        return choices.get(number - 1);
    }
    let mut those = choices
        .iter()
        .filter(|choice| choice.hash.starts_with(answer));
    those.next().filter(|_| those.next().is_none())
}

fn numbered(choices: &[Listed]) -> String {
    let mut rows = list::rows(choices, true);
    for (number, row) in rows.iter_mut().enumerate() {
        let number = if number == 0 {
            " #".to_owned()
        } else {
            number.to_string()
        };
        row.insert(0, number);
    }
    table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::Kind;

    fn choices() -> Vec<Listed> {
        let listed = |hash: &str, size, peers| Listed {
            hash: hash.to_owned(),
            name: "x\u{202e}y".to_owned(),
            size,
            kind: Kind::File,
            peers,
            holders: Vec::new(),
        };
        vec![listed("1ab", 1, 2), listed("1cd", 1 << 20, 1)]
    }

    #[test]
    fn choices_are_numbered() {
        assert_eq!(
            numbered(&choices()),
            "#     SIZE  KIND  PEERS  HASH  NAME\n\
             1      1 B  file      2  1ab   xy\n\
             2  1.0 MiB  file      1  1cd   xy"
        );
    }

    #[test]
    fn a_choice_is_a_number_or_the_beginning_of_a_hash() {
        let choices = choices();
        let hash = |answer| chosen(&choices, answer).map(|choice| choice.hash.as_str());
        assert_eq!(hash("1"), Some("1ab"));
        assert_eq!(hash("2"), Some("1cd"));
        assert_eq!(hash("1c"), Some("1cd"));
        for nonsense in ["0", "3", "x", "-1"] {
            assert_eq!(hash(nonsense), None, "{nonsense}");
        }
    }
}
