//! A connection that TLS encrypts.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite, ready};
use rustls::{
    CommonState,
    client::UnbufferedClientConnection,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, UnbufferedStatus},
};

use super::buffer::{Buffer, LEN};

/// Plaintext of a record, at most (RFC 8446, section 5.1).
const RECORD_LEN: usize = 16 << 10;

/// What a record adds to its plaintext: header, type and tag (RFC 8446, section 5.2).
const RECORD_OVERHEAD: usize = 5 + 1 + 16;

const NOTHING: Output<'_> = Output::Data(&[]);

/// Room that data leaves for messages of TLS itself, such as new keys.
const RESERVE: usize = 1 << 10;

/// The state of TLS, on either side.
pub(super) enum Session {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

impl Session {
    pub(super) fn state(&self) -> &CommonState {
        match self {
            Self::Client(session) => session,
            Self::Server(session) => session,
        }
    }

    fn step(&mut self, incoming: &mut Buffer, work: &mut Work<'_>) -> io::Result<Step> {
        let (discard, step) = match self {
            Self::Client(session) => work.step(session.process_tls_records(incoming.filled())),
            Self::Server(session) => work.step(session.process_tls_records(incoming.filled())),
        };
        incoming.remove(discard);
        step
    }
}

/// What one step of TLS has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// More steps are possible.
    Continue,
    /// The handshake needs more bytes of the peer.
    Handshake,
    /// All records are decrypted, and data can be sent.
    Idle,
    /// The peer sends no more.
    Ended,
}

/// Where steps put what they decrypt and encrypt.
struct Work<'a> {
    /// The reader's buffer, and how much of it is filled.
    target: &'a mut [u8],
    read: usize,
    /// Takes what exceeds the reader's buffer.
    excess: &'a mut Vec<u8>,
    /// What the writer has, and how many bytes of it are encrypted.
    output: Output<'a>,
    written: usize,
    outgoing: &'a mut Buffer,
}

/// What is to be sent.
#[derive(Clone, Copy)]
enum Output<'a> {
    Data(&'a [u8]),
    /// The message that ends a connection.
    Farewell,
}

impl Work<'_> {
    fn step<D>(&mut self, status: UnbufferedStatus<'_, '_, D>) -> (usize, io::Result<Step>) {
        let mut discard = status.discard;
        let step = match status.state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                match traffic.next_record() {
                    Some(Ok(record)) => {
                        discard += record.discard;
                        self.receive(record.payload);
                    }
                    Some(Err(error)) => break Err(invalid(error)),
                    None => break Ok(Step::Continue),
                }
            },
            Ok(ConnectionState::EncodeTlsData(mut message)) => {
                let encoded = message.encode(self.outgoing.room());
                self.queue(encoded.map_err(io::Error::other), Step::Continue)
            }
            // What is in our buffer is sent before anything else.
            Ok(ConnectionState::TransmitTlsData(sent)) => {
                sent.done();
                Ok(Step::Continue)
            }
            Ok(ConnectionState::WriteTraffic(_)) if self.has_nothing_to_send() => Ok(Step::Idle),
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                let room = self.outgoing.room();
                let encrypted = match self.output {
                    Output::Data(source) => {
                        let source = &source[self.written..];
                        let len = source.len().min(plaintext_for(room.len()));
                        self.written += len;
                        traffic.encrypt(&source[..len], room)
                    }
                    Output::Farewell => traffic.queue_close_notify(room),
                };
                self.queue(encrypted.map_err(io::Error::other), Step::Idle)
            }
            Ok(ConnectionState::BlockedHandshake) => Ok(Step::Handshake),
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Step::Ended),
            Ok(_) => Err(invalid(rustls::Error::General("early data".into()))),
            Err(error) => Err(invalid(error)),
        };
        (discard, step)
    }

    fn has_nothing_to_send(&self) -> bool {
        matches!(self.output, Output::Data(source) if source.len() == self.written)
    }

    fn receive(&mut self, plaintext: &[u8]) {
        let room = &mut self.target[self.read..];
        let len = if self.excess.is_empty() {
            plaintext.len().min(room.len())
        } else {
            0
        };
        room[..len].copy_from_slice(&plaintext[..len]);
        self.read += len;
        // Exactly, as what is not read may stay.
        self.excess.reserve_exact(plaintext.len() - len);
        self.excess.extend_from_slice(&plaintext[len..]);
    }

    /// Adds what was put into the room of the buffer.
    fn queue(&mut self, len: io::Result<usize>, step: Step) -> io::Result<Step> {
        self.outgoing.add(len?);
        Ok(step)
    }
}

/// The most plaintext whose records fit into `room`, beside the reserve.
fn plaintext_for(room: usize) -> usize {
    let room = room.saturating_sub(RESERVE);
    let full = room / (RECORD_LEN + RECORD_OVERHEAD);
    let rest = room % (RECORD_LEN + RECORD_OVERHEAD);
    full * RECORD_LEN + rest.saturating_sub(RECORD_OVERHEAD)
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Whether TLS failed, and not the socket, which must not be used again.
fn is_of_tls(error: &io::Error) -> bool {
    let reason = error.get_ref();
    reason.is_some_and(|reason| reason.is::<rustls::Error>())
}

/// An encrypted connection.
///
/// It takes from the socket, and gives to it, as many records at once as a [`Buffer`] holds; what
/// is written waits for a full buffer or [`poll_flush`](AsyncWrite::poll_flush).
pub(in crate::transport) struct TlsStream<C> {
    socket: C,
    session: Session,
    /// Received and not decrypted yet.
    incoming: Buffer,
    /// Decrypted and not read yet, from the second number on.
    excess: (Vec<u8>, usize),
    /// Encrypted and not sent yet.
    outgoing: Buffer,
    has_ended: bool,
    is_closing: bool,
}

impl<C: AsyncRead + AsyncWrite + Unpin> TlsStream<C> {
    /// Shakes hands over `socket`.
    ///
    /// # Errors
    /// What the socket or TLS reports. The peer gets the alert that TLS demands.
    pub(super) async fn handshake(socket: C, session: Session) -> io::Result<Self> {
        let mut stream = Self {
            socket,
            session,
            incoming: Buffer::default(),
            excess: (Vec::new(), 0),
            outgoing: Buffer::default(),
            has_ended: false,
            is_closing: false,
        };
        let made = poll_fn(|context| stream.poll_handshake(context)).await;
        if made.as_ref().is_err_and(is_of_tls) {
            stream.alert();
            // The alert is a courtesy: the first error counts.
            let _ = poll_fn(|context| stream.poll_send(context)).await;
        }
        made.map(|()| stream)
    }

    pub(super) fn state(&self) -> &CommonState {
        self.session.state()
    }

    fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.steps(&mut [], NOTHING)?.1 {
                Step::Idle => return self.poll_send(context),
                Step::Handshake => {
                    ready!(self.poll_send(context))?;
                    if ready!(self.poll_fill(context))? == 0 {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                }
                Step::Continue | Step::Ended => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
            }
        }
    }

    /// Takes steps as long as they lead on: how many bytes were read and written, and what was
    /// the last one.
    fn steps(
        &mut self,
        target: &mut [u8],
        output: Output<'_>,
    ) -> io::Result<((usize, usize), Step)> {
        let mut work = Work {
            target,
            read: 0,
            excess: &mut self.excess.0,
            output,
            written: 0,
            outgoing: &mut self.outgoing,
        };
        let step = loop {
            let step = self.session.step(&mut self.incoming, &mut work)?;
            let has_read = !work.target.is_empty() && work.read == work.target.len();
            if step != Step::Continue || has_read {
                break step;
            }
        };
        self.has_ended |= step == Step::Ended;
        Ok(((work.read, work.written), step))
    }

    /// Queues the alert that TLS has for the peer after an error.
    fn alert(&mut self) {
        while let Ok((_, Step::Continue)) = self.steps(&mut [], NOTHING) {}
    }

    /// Receives as much as there is room for.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = self.incoming.room();
        if room.is_empty() {
            let long = io::Error::new(io::ErrorKind::InvalidData, "a message of TLS is too long");
            return Poll::Ready(Err(long));
        }
        let received = Pin::new(&mut self.socket).poll_read(context, room);
        self.incoming.add(match received {
            Poll::Ready(Ok(len)) => len,
            _ => 0,
        });
        received
    }

    /// Sends all that is encrypted.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let socket = Pin::new(&mut self.socket);
            let len = ready!(socket.poll_write(context, self.outgoing.filled()))?;
            if len == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.remove(len);
        }
        Pin::new(&mut self.socket).poll_flush(context)
    }

    /// Whether another record fits.
    fn has_room(&self) -> bool {
        plaintext_for(LEN - self.outgoing.len()) >= RECORD_LEN
    }

    fn take_excess(&mut self, target: &mut [u8]) -> usize {
        let (bytes, taken) = &mut self.excess;
        let len = target.len().min(bytes.len() - *taken);
        target[..len].copy_from_slice(&bytes[*taken..*taken + len]);
        *taken += len;
        if *taken == bytes.len() {
            self.excess = (Vec::new(), 0);
        }
        len
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        target: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if !self.excess.0.is_empty() {
            return Poll::Ready(Ok(self.take_excess(target)));
        }
        loop {
            if target.is_empty() || self.has_ended {
                return Poll::Ready(Ok(0));
            }
            let ((read, _), _) = self.steps(target, NOTHING)?;
            if read > 0 {
                return Poll::Ready(Ok(read));
            }
            if !self.has_ended && ready!(self.poll_fill(context))? == 0 {
                // Without a farewell, bytes may be missing.
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        source: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_closing {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        loop {
            let ((_, written), _) = self.steps(&mut [], Output::Data(source))?;
            if written == source.len() && self.has_room() {
                return Poll::Ready(Ok(written));
            }
            let sent = self.poll_send(context)?;
            if written > 0 {
                return Poll::Ready(Ok(written));
            }
            ready!(sent);
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_closing {
            self.is_closing = true;
            self.steps(&mut [], Output::Farewell)?;
        }
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.socket).poll_close(context)
    }
}

#[cfg(test)]
mod tests {
    use futures::{AsyncReadExt, AsyncWriteExt};
    use libp2p::{identity::Keypair, tcp::tokio::TcpStream};
    use proptest::prelude::*;
    use tokio::net;

    use super::*;
    use crate::transport::{
        security::SecurityError,
        tls::{AES_FIRST, CHACHA_ONLY, Tls},
    };

    async fn sockets() -> (TcpStream, TcpStream) {
        let listener = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = net::TcpStream::connect(listener.local_addr().unwrap());
        let (ours, theirs) = futures::join!(connect, listener.accept());
        (TcpStream(ours.unwrap()), TcpStream(theirs.unwrap().0))
    }

    async fn pair() -> (TlsStream<TcpStream>, TlsStream<TcpStream>) {
        let (here, there) = sockets().await;
        let tls = || Tls::new(&Keypair::generate_ed25519()).unwrap();
        let (dialer, listener) = futures::join!(tls().connect(here), tls().accept(there));
        (dialer.unwrap().1, listener.unwrap().1)
    }

    /// Writes pieces of these lengths, flushes every third, and ends.
    async fn write(mut writer: impl AsyncWrite + Unpin, lens: Vec<usize>) {
        let bytes: Vec<u8> = (0..lens.iter().sum()).map(|n: usize| n as u8).collect();
        let mut rest = &bytes[..];
        for (n, len) in lens.into_iter().enumerate() {
            writer.write_all(&rest[..len]).await.unwrap();
            rest = &rest[len..];
            if n % 3 == 0 {
                writer.flush().await.unwrap();
            }
        }
        writer.close().await.unwrap();
    }

    /// Reads into buffers of these lengths in turn, up to the end: how many bytes there were.
    async fn read(mut reader: impl AsyncRead + Unpin, lens: Vec<usize>) -> usize {
        let mut total = 0;
        for len in lens.into_iter().cycle() {
            let mut buffer = vec![0; len];
            let read = reader.read(&mut buffer).await.unwrap();
            if read == 0 {
                break;
            }
            for (n, byte) in buffer[..read].iter().enumerate() {
                assert_eq!(*byte, (total + n) as u8);
            }
            total += read;
        }
        total
    }

    fn lens() -> impl Strategy<Value = Vec<usize>> {
        let len = prop_oneof![1..40_usize, 16_380..16_390_usize, 60_000..200_000_usize];
        proptest::collection::vec(len, 1..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn both_sides_read_what_the_other_wrote(a in lens(), b in lens(), reads in lens()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let (here, there) = pair().await;
                let (here, there) = (here.split(), there.split());
                let expected: (usize, usize) = (a.iter().sum(), b.iter().sum());
                let ((), (), at_here, at_there) = futures::join!(
                    write(here.1, a),
                    write(there.1, b),
                    read(here.0, reads.clone()),
                    read(there.0, reads),
                );
                assert_eq!((at_there, at_here), expected);
            });
        }
    }

    #[tokio::test]
    async fn a_connection_that_breaks_off_is_not_taken_for_the_end() {
        let (mut here, there) = pair().await;
        let TlsStream { mut socket, .. } = there;
        socket.close().await.unwrap();
        let error = here.read(&mut [0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_changed_byte_ends_the_connection() {
        let (mut here, mut there) = pair().await;
        there.steps(&mut [], Output::Data(b"hello")).unwrap();
        there.outgoing.filled()[7] ^= 1;
        there.flush().await.unwrap();
        let error = here.read(&mut [0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    async fn write_until_blocked(writer: &mut TlsStream<TcpStream>, bytes: &[u8]) {
        poll_fn(|context| {
            while let Poll::Ready(written) = Pin::new(&mut *writer).poll_write(context, bytes) {
                written.unwrap();
            }
            Poll::Ready(())
        })
        .await;
    }

    /// The other side reads nothing, and its last record is incomplete here. This side reads
    /// nothing either, and writes, for which TLS decrypts what has arrived.
    #[tokio::test]
    async fn what_is_incomplete_and_unread_takes_bounded_memory() {
        let (mut here, mut there) = pair().await;
        let mut most = 0;
        for len in (1..=RECORD_LEN).rev().step_by(1501) {
            let record = vec![1; len];
            write_until_blocked(&mut there, &record).await;
            poll_fn(|context| here.poll_fill(context)).await.unwrap();
            write_until_blocked(&mut here, &record).await;
            let excess = here.excess.0.capacity();
            let held = here.incoming.memory() + here.outgoing.memory() + excess;
            assert!(excess > 0 && held <= 3 * LEN, "{held}, {excess} decrypted");
            most = most.max(held);
            here.excess = (Vec::new(), 0);
        }
        assert!(most > 2 * LEN, "{most}");
    }

    async fn pass(from: &mut TlsStream<TcpStream>, to: &mut TlsStream<TcpStream>, byte: u8) {
        from.write_all(&[byte; 10]).await.unwrap();
        from.flush().await.unwrap();
        let mut received = [0; 10];
        to.read_exact(&mut received).await.unwrap();
        assert_eq!(received, [byte; 10]);
    }

    #[tokio::test]
    async fn bytes_pass_while_keys_change() {
        let (mut here, mut there) = pair().await;
        for byte in 0..3 {
            match &mut here.session {
                Session::Client(session) => match session.process_tls_records(&mut []).state {
                    Ok(ConnectionState::WriteTraffic(traffic)) => {
                        traffic.refresh_traffic_keys().unwrap();
                    }
                    other => panic!("{other:?}"),
                },
                Session::Server(_) => unreachable!("it dialed"),
            }
            pass(&mut here, &mut there, byte).await;
            pass(&mut there, &mut here, byte).await;
        }
    }

    #[tokio::test]
    async fn a_peer_without_a_common_cipher_gets_the_alert() {
        let (here, there) = sockets().await;
        let with = |ciphers| Tls::with_ciphers(&Keypair::generate_ed25519(), ciphers, ciphers);
        let dialer = with(&AES_FIRST[..2]).unwrap();
        let listener = with(CHACHA_ONLY).unwrap();
        let (dialed, accepted) = futures::join!(dialer.connect(here), listener.accept(there));
        assert!(accepted.is_err());
        let error = SecurityError::of_tls(dialed.err().unwrap());
        assert!(matches!(error, SecurityError::TlsRefused), "{error}");
    }
}
