//! Who carries out the effects of a worker: the performer on the worker's own runtime, or, where nothing may touch the
//! outside, what answers in its place.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use tokio::sync::mpsc::UnboundedSender;

use super::pending::{Counts, Pending};
use super::secrets::RunSecrets;
use super::worker::Message;
use super::world::RunWorld;
use crate::effect::{Attempt, Outcome, Performer, Request};
use crate::host::session::{Answer, Ask, What};
use crate::id::RunId;

/// Answers effects in place of the outside.
pub trait Mocks {
    /// The answer to an effect of a run, or to a call of what is stood for.
    fn answer(&self, run: RunId, ask: &Ask) -> Mocked;
    /// Whether something stands in place of the body of steps with this name.
    fn stands_for_step(&self, name: &str) -> bool;
    /// An effect of a workflow is about to be recorded; whether nothing is to be looked up for undoing half of it.
    fn is_prepared(&self, _workflow: &str, _request: &Request) -> bool {
        false
    }
    /// A step has begun.
    fn begun(&self, workflow: &str, step: &str);
    /// Whether some effects are carried out after all, so that what undoing them needs is looked up.
    fn performs_some(&self) -> bool {
        true
    }
    /// A run looks at a durable value of its workflow.
    fn looks_at(&self, _workflow: &str, _key: &str) {}
    /// Functions of modules that something stands for, as the main file names them: `slack::post`.
    fn functions(&self) -> Vec<String>;
    /// Something went wrong that the runs must not see: nothing goes on.
    fn has_stopped(&self) -> bool;
}

/// What becomes of an effect that is not carried out by itself.
pub enum Mocked {
    /// It has this outcome.
    Answer(Answer),
    /// It never ends.
    Never,
    /// It is carried out after all, while the caller waits.
    Perform,
}

/// The hands of a worker. What they have done comes back as a message.
pub(super) struct Hands {
    performer: Performer,
    mocks: Option<(Rc<dyn Mocks>, tokio::runtime::Runtime)>,
}

impl Hands {
    /// Effects touch the outside.
    pub(super) fn real(performer: Performer) -> Self {
        Self { performer, mocks: None }
    }

    /// Effects are answered by `mocks`.
    pub(super) fn mocked(performer: Performer, mocks: Rc<dyn Mocks>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
        Self { performer, mocks: Some((mocks, runtime)) }
    }

    /// What is shared by all effects.
    pub(super) fn performer(&self) -> &Performer {
        &self.performer
    }

    /// What answers in place of the outside.
    pub(super) fn mocks(&self) -> Option<&Rc<dyn Mocks>> {
        self.mocks.as_ref().map(|(mocks, _)| mocks)
    }

    /// Starts an effect; its outcome goes to `inbox`.
    pub(super) fn perform(
        &self,
        run: RunId,
        ask: Ask,
        world: &Rc<RunWorld>,
        inbox: &UnboundedSender<Message>,
    ) -> Pending {
        let (world, inbox) = (Rc::clone(world), inbox.clone());
        let (wait, counts) = (ask.wait, Counts::of(&ask));
        let Some((mocks, runtime)) = &self.mocks else {
            if let Some(outcome) = instead(&ask, &world) {
                let _ = inbox.send(Message::Answer(run, wait, Answer::Effect(outcome)));
                return Pending::Effect(None, counts);
            }
            let task = tokio::task::spawn_local(async move {
                let request = match &ask.what {
                    What::Effect { request, .. } => Some(Rc::clone(request)),
                    _ => None,
                };
                let mut work = pin!(carry_out(run, ask, &world));
                // What is done at once is not told of, which is most of what costs no time.
                let outcome = match poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
                    Poll::Ready(outcome) => outcome,
                    Poll::Pending => {
                        let under_way = &world.shared.under_way;
                        let _noted = request.map(|request| under_way.note(run, wait, &request, world.shared.now()));
                        work.await
                    }
                };
                let _ = inbox.send(Message::Answer(run, wait, Answer::Effect(outcome)));
            });
            return Pending::Effect(Some(task.abort_handle()), counts);
        };
        let refused = match &ask.what {
            What::Effect { request, .. } => {
                let admitted = Performer::admit(request, &world.allow);
                admitted.and_then(|()| secrets(run, &world).admit(request)).err()
            }
            _ => None,
        };
        let answer = match refused.map_or_else(|| mocks.answer(run, &ask), |it| Mocked::Answer(Answer::Effect(Err(it))))
        {
            Mocked::Answer(answer) => answer,
            Mocked::Never => return Pending::Effect(None, counts),
            Mocked::Perform => Answer::Effect(runtime.block_on(carry_out(run, ask, &world))),
        };
        let _ = inbox.send(Message::Answer(run, wait, answer));
        Pending::Effect(None, counts)
    }

    /// Removes the folder that a run made for itself.
    pub(super) fn remove_temp(&self, run: RunId, performer: Performer) {
        let remove = move || {
            if let Err(failure) = performer.remove_temp(&run.to_string()) {
                tracing::debug!(%run, "the folder of the run is left: {failure}");
            }
        };
        if self.mocks.is_some() {
            remove();
        } else {
            tokio::task::spawn_blocking(remove);
        }
    }
}

/// What is answered in place of the outside, to what the workflow may ask.
fn instead(ask: &Ask, world: &RunWorld) -> Option<Outcome> {
    let answers = world.shared.options.instead.as_ref()?;
    let What::Effect { request, .. } = &ask.what else { return None };
    Performer::admit(request, &world.allow).map_or_else(|refused| Some(Err(refused)), |()| answers(request))
}

fn secrets(run: RunId, world: &RunWorld) -> RunSecrets<'_> {
    RunSecrets { vault: &world.shared.options.secrets, run, workflow: &world.workflow, allow: &world.allow }
}

async fn carry_out(run: RunId, ask: Ask, world: &RunWorld) -> Outcome {
    let What::Effect { request, attempt, position, key, undo, again, .. } = ask.what else {
        unreachable!("only effects are performed")
    };
    let trace = world.trace_headers(position.as_ref(), attempt);
    let secrets = secrets(run, world);
    let attempt = Attempt {
        number: attempt,
        idempotency_key: &key,
        undo: undo.as_deref(),
        again,
        allow: &world.allow,
        secrets: &secrets,
        trace: Some(&trace),
    };
    world.performer.perform(&request, attempt).await
}
