//! Threads that decode blocks while their caller reads the next ones. Blocks come back in the order in which they went.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, Scope, available_parallelism};

use nix::sys::signal::SigSet;

use super::block::{Block, Decoder};
use super::field::Field;
use super::filter::Filter;

/// More threads than that would wait for the one that reads.
const MOST_HANDS: usize = 3;

/// Blocks of fewer rows are decoded before a thread has begun.
const FEW_ROWS: usize = 1024;

/// Blocks that one thread has at a time: one that it decodes, and the next.
const BLOCKS_OF_A_HAND: usize = 2;

/// The threads, and those blocks that are with them.
pub(super) struct Crew<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    filter: &'env Filter,
    fields: &'env [Field],
    hands: Vec<Hand>,
    given: usize,
    taken: usize,
}

/// A thread. It gets every block whose number is its own, modulo the number of threads: that keeps their order.
struct Hand {
    to: Sender<Block>,
    back: Receiver<Block>,
}

impl<'scope, 'env> Crew<'scope, 'env> {
    /// No thread yet: most searches are one block.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        filter: &'env Filter,
        fields: &'env [Field],
    ) -> Self {
        Self { scope, filter, fields, hands: Vec::new(), given: 0, taken: 0 }
    }

    /// Hands a block over, and takes the one back whose turn it is, once every thread has enough to do. The first blocks,
    /// if they are small, and all of them on a single core, the caller decodes itself.
    pub(super) fn exchange(&mut self, mut block: Block, own: &Decoder<'_>) -> Option<Block> {
        if self.given == 0 && block.rows() >= FEW_ROWS {
            self.hire();
        }
        if self.hands.is_empty() {
            block.decode(own);
            return Some(block);
        }
        let hand = &self.hands[self.given % self.hands.len()];
        // A thread that does not listen has panicked, and so will the scope.
        let _ = hand.to.send(block);
        self.given += 1;
        let are_busy = self.given - self.taken > BLOCKS_OF_A_HAND * self.hands.len();
        if are_busy { self.take() } else { None }
    }

    /// The next of the blocks that are still out.
    pub(super) fn take(&mut self) -> Option<Block> {
        if self.taken == self.given {
            return None;
        }
        let hand = &self.hands[self.taken % self.hands.len()];
        self.taken += 1;
        hand.back.recv().ok()
    }

    fn hire(&mut self) {
        let others = available_parallelism().map_or(0, |cores| cores.get() - 1);
        while self.hands.len() < others.min(MOST_HANDS) {
            let (to, given) = channel::<Block>();
            let (done, back) = channel();
            let (filter, fields) = (self.filter, self.fields);
            let work = move || {
                // They are for the main thread, which Python wakes. Where they cannot be blocked, they are as good here.
                let _ = SigSet::all().thread_block();
                let decoder = Decoder::new(filter, fields);
                for mut block in given {
                    block.decode(&decoder);
                    if done.send(block).is_err() {
                        return;
                    }
                }
            };
            // Where no more threads may be started, those that are there do it.
            if Builder::new().name("tirastore-decode".to_owned()).spawn_scoped(self.scope, work).is_err() {
                return;
            }
            self.hands.push(Hand { to, back });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::thread::scope;

    use super::*;

    /// The number of a block whose rows name it.
    fn number(block: &Block, own: &Decoder<'_>) -> usize {
        let mut keys = Vec::new();
        let all = block.each(own, |_| Ok(ControlFlow::Continue(())), |key, _| keys.push(key.to_owned()));
        assert_eq!(all.expect("looked at"), ControlFlow::Continue(()));
        assert!(keys.iter().all(|key| *key == keys[0]));
        keys[0].parse().expect("a number")
    }

    #[test]
    fn blocks_come_back_in_the_order_in_which_they_went() {
        let filter = Filter::default();
        let own = Decoder::new(&filter, &[]);
        let found = scope(|scope| {
            let mut crew = Crew::new(scope, &filter, &[]);
            let mut found = Vec::new();
            for count in 0..40 {
                let mut block = Block::default();
                // The first are small, and later ones not equally large.
                let rows = if count < 3 { 1 } else { FEW_ROWS * (1 + count % 3) };
                for _ in 0..rows {
                    block.push_damaged(0, &count.to_string(), "lost".to_owned());
                }
                found.extend(crew.exchange(block, &own).map(|done| number(&done, &own)));
                assert!(count < 3 || crew.given - crew.taken <= BLOCKS_OF_A_HAND * crew.hands.len());
            }
            found.extend(std::iter::from_fn(|| crew.take()).map(|done| number(&done, &own)));
            found
        });
        assert_eq!(found, (0..40).collect::<Vec<_>>());
    }
}
