//! Puts an answer on the wire as server-sent events, with the fault and the pace that a script asks for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::reply::{End, Pieces};
use crate::script::{Pace, StreamFault};
use crate::shared::Shared;

/// An event, or a piece of one, on its way to the connection.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) bytes: Bytes,
    /// Whether the event is complete with it.
    pub(crate) last_piece: bool,
}

/// Produces the events of one answer until its end, or until the fault.
pub(crate) async fn produce(
    shared: Arc<Shared>,
    answer: Answer,
    fault: StreamFault,
    pace: Option<Pace>,
    pieces: Pieces,
) -> End {
    let answer = Arc::new(answer);
    let mut writer = Writer { pieces, pace, number: 0 };
    let mut events = answer.events();
    loop {
        match &fault {
            StreamFault::Cut { after_events } if writer.number == *after_events => {
                return End::Abort;
            }
            StreamFault::Stall { after_events } if writer.number == *after_events => {
                std::future::pending::<()>().await;
            }
            StreamFault::Hold { after_events, gate } if writer.number == *after_events => {
                shared.pass(gate).await;
            }
            StreamFault::End { after_events } if writer.number == *after_events => return End::Clean,
            StreamFault::Failed { after_events, error } if writer.number == *after_events => {
                writer.write(answer.failed(error)).await;
                return End::Clean;
            }
            StreamFault::Error { error } if writer.number == 1 => {
                writer.write(json!({"type": "error", "error": error})).await;
                return End::Clean;
            }
            StreamFault::Empty if writer.number == 2 => {
                writer.write(answer.completed_empty()).await;
                return End::Clean;
            }
            _ => {}
        }
        let Some(event) = events.next() else { return End::Clean };
        if event["type"] == "response.output_text.delta" && answer.pace_ms > 0 {
            tokio::time::sleep(Duration::from_millis(answer.pace_ms)).await;
        }
        match &fault {
            StreamFault::Incomplete { reason } if event["type"] == "response.completed" => {
                writer.write(answer.incomplete(reason)).await;
            }
            _ => writer.write(event).await,
        }
    }
}

struct Writer {
    pieces: Pieces,
    pace: Option<Pace>,
    /// Events written so far, which is also the next `sequence_number`.
    number: u64,
}

impl Writer {
    async fn write(&mut self, mut event: Value) {
        event["sequence_number"] = json!(self.number);
        self.number += 1;
        let name = event["type"].as_str().unwrap_or_default();
        let bytes = Bytes::from(format!("event: {name}\ndata: {event}\n\n"));
        let Some(Pace { bytes: size, every_ms }) = self.pace else {
            return self.send(bytes, true).await;
        };
        let size = size.max(1);
        let mut rest = bytes;
        while !rest.is_empty() {
            tokio::time::sleep(Duration::from_millis(every_ms)).await;
            let piece = rest.split_to(size.min(rest.len()));
            self.send(piece, rest.is_empty()).await;
        }
    }

    async fn send(&self, bytes: Bytes, last_piece: bool) {
        // The body owns both ends of the channel: if it is dropped, so is this future.
        let _ = self.pieces.send(Event { bytes, last_piece }).await;
    }
}
