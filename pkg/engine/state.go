package engine

import (
	"encoding/gob"
	"fmt"
	"io"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/score"
)

// stateVersion changes when an older state can't be read any more.
const stateVersion = 1

// state is everything the core knows, as it is written.
type state struct {
	Version int
	Clock   clockState
	Swept   int64
	Joiner  maillog.JoinerState
	Good    score.GoodState
	Breaker ban.BreakerState
	Tables  []score.State
	Books   []ban.State
}

type clockState struct {
	Mark, Horizon, Last  int64
	Count                int
	PID                  uint32
	OnePID               bool
	Jumps, Dropped, Held uint64
}

// Encode writes the whole state of the engine. The same state gives the same
// bytes.
func (e *Engine) Encode(w io.Writer) error {
	c := &e.front.clock
	s := state{
		Version: stateVersion,
		Clock:   clockState{c.mark, c.horizon, c.last, c.count, c.pid, c.onePID, c.Jumps, c.Dropped, c.Held},
		Swept:   e.swept,
		Joiner:  e.front.joiner.State(),
		Good:    e.good.State(),
		Breaker: e.breaker.State(),
	}
	for d := range e.tables {
		s.Tables = append(s.Tables, e.tables[d].State())
		s.Books = append(s.Books, e.books[d].State())
	}
	if err := gob.NewEncoder(w).Encode(&s); err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	return nil
}

// Restore takes over a state that Encode wrote. The engine must be new and
// its sources declared; its options may differ from those of the engine that
// was encoded: evidence of windows and rules that are gone is dropped. After
// an error the engine must not be used.
func (e *Engine) Restore(r io.Reader) error {
	var s state
	if err := gob.NewDecoder(r).Decode(&s); err != nil {
		return fmt.Errorf("decode state: %w", err)
	}
	if s.Version != stateVersion {
		return fmt.Errorf("decode state: version %d, want %d", s.Version, stateVersion)
	}
	if len(s.Tables) != len(e.tables) || len(s.Books) != len(e.books) {
		return fmt.Errorf("decode state: %d tables and %d books, want %d of each", len(s.Tables), len(s.Books), len(e.books))
	}
	c := s.Clock
	e.front.clock = clock{
		mark: c.Mark, horizon: c.Horizon, count: c.Count, last: c.Last, pid: c.PID, onePID: c.OnePID,
		Jumps: c.Jumps, Dropped: c.Dropped, Held: c.Held,
	}
	e.swept = s.Swept
	if err := e.front.joiner.Restore(s.Joiner); err != nil {
		return fmt.Errorf("restore sessions: %w", err)
	}
	if err := e.good.Restore(s.Good); err != nil {
		return fmt.Errorf("restore good senders: %w", err)
	}
	if err := e.breaker.Restore(s.Breaker); err != nil {
		return fmt.Errorf("restore breaker: %w", err)
	}
	for d := range e.tables {
		if err := e.tables[d].Restore(s.Tables[d]); err != nil {
			return fmt.Errorf("restore scores of door %s: %w", maillog.Door(d), err)
		}
		if err := e.books[d].Restore(s.Books[d]); err != nil {
			return fmt.Errorf("restore bans of door %s: %w", maillog.Door(d), err)
		}
	}
	e.next = e.wake(e.front.clock.mark)
	e.roll.clear()
	return nil
}
