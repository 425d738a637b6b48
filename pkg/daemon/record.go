package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// A record is something that is not in the logs: what the operator did, what
// the kernel counted. It is told apart from what came before and after by the
// numbers of the lines that had been fed.
type record struct {
	Clock int64             `json:"clock"` // scoring clock
	Seqs  map[uint32]uint64 `json:"seqs"`  // last line fed, by source

	Ban    *banRecord   `json:"ban,omitempty"`
	Unban  *unbanRecord `json:"unban,omitempty"`
	Knocks []knock      `json:"knocks,omitempty"`
	Pause  *pauseRecord `json:"pause,omitempty"`
	Resume bool         `json:"resume,omitempty"` // the breaker
	Allow  *allowRecord `json:"allow,omitempty"`
}

type banRecord struct {
	Prefix  netip.Prefix `json:"prefix"`
	Until   int64        `json:"until"`
	Because string       `json:"because,omitempty"`
}

type unbanRecord struct {
	Prefixes []netip.Prefix `json:"prefixes"`
}

// A knock is what the firewall counted on a ban.
type knock struct {
	Prefix netip.Prefix `json:"prefix"`
	Door   maillog.Door `json:"door"`
	Time   int64        `json:"time"`
	N      uint64       `json:"n"`
}

type pauseRecord struct {
	By string `json:"by"` // "": goes on
}

// An allowRecord holds all that the operator has put on the allowlist for
// longer than this run of the daemon, or a part of it: all would be more than the
// journal takes in one. From says how many stand in the records just before, and
// More that the rest is in those that follow.
type allowRecord struct {
	Additions []allow.Addition `json:"additions"`
	From      int              `json:"from,omitempty"`
	More      bool             `json:"more,omitempty"`
}

// maxAllowed is how many additions go into one record: 512 with 200 bytes of
// reason, each written with six, are 700 KB of the 1 MiB that it may have.
const maxAllowed = 512

// noteAllow writes down the operator's additions that survive a restart.
func (c *core) noteAllow() {
	all := c.kept()
	for from, more := 0, true; more; from += maxAllowed {
		part := all[from:min(from+maxAllowed, len(all))]
		more = from+len(part) < len(all)
		// Each durable: what need not be makes room for others when the disk is
		// full, and the rest alone would say that these were taken off.
		c.note(record{Allow: &allowRecord{part, from, more}}, true)
	}
}

// before says whether the record was made before a line that is to be fed.
func (r *record) before(number uint32, seq uint64) bool {
	last, ok := r.Seqs[number]
	return ok && last < seq
}

// note writes a record of what has just been done.
func (c *core) note(r record, durable bool) {
	r.Clock = c.engine.Now()
	r.Seqs = make(map[uint32]uint64, len(c.feeds))
	for _, f := range c.feeds {
		r.Seqs[f.number] = f.seq
	}
	text, err := json.Marshal(&r)
	if err == nil {
		err = c.d.ledger.Append(text, durable)
	}
	if err != nil {
		c.d.log.Error("journal can't be written, will be tried again", "folder", c.d.o.State, "err", err)
	}
}

// read takes a record of the journal that is to be done again.
func (c *core) read(ctx context.Context, text []byte) error {
	if ctx.Err() != nil {
		return nil
	}
	if c.engine == nil { // there is a journal and no snapshot yet
		if err := c.begin(ctx, allow.State{}); err != nil {
			return err
		}
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if r.Allow != nil {
		// Not at its place among the lines but at once: nothing is banned on
		// the way that is not to be banned now. So lines that stand before the
		// record are judged by the allowlist behind it: what the run before
		// banned until then is not banned again, and what it spared until then
		// may be.
		if r.Allow.From == 0 {
			c.allowed = nil // parts before it, if any, were cut short by a crash
		}
		if r.Allow.From != len(c.allowed) {
			return errors.New("journal: a part of what was allowlisted by command is missing, what was allowlisted before that stays")
		}
		c.allowed = append(c.allowed, r.Allow.Additions...)
		if r.Allow.More {
			return nil
		}
		k := c.d.collector()
		all := c.allowed
		c.allowed = nil
		if err := k.SetAdditions(all); err != nil {
			return err
		}
		c.allow(k, k.List())
		return nil
	}
	c.replay = append(c.replay, r)
	return nil
}

// redo does again what a record says.
func (c *core) redo(r record) {
	c.engine.Start(r.Clock)
	c.engine.Tick(r.Clock)
	switch {
	case r.Ban != nil && c.list.BanNothing():
		c.d.log.Warn("a ban by hand was not made again: a part of the allowlist was never read", "prefix", r.Ban.Prefix)
	case r.Ban != nil:
		if _, err := c.engine.Ban(r.Ban.Prefix, r.Ban.Until, r.Ban.Because); err != nil {
			c.d.log.Warn("a ban by hand was not made again", "prefix", r.Ban.Prefix, "err", err)
		}
	case r.Unban != nil:
		for _, p := range r.Unban.Prefixes {
			c.engine.Unban(p)
		}
	case r.Pause != nil:
		c.paused = r.Pause.By
		c.hold()
	case r.Resume:
		c.engine.Resume()
	case len(r.Knocks) > 0:
		for _, k := range r.Knocks {
			c.engine.Knock(k.Prefix, k.Door, k.Time, k.N)
		}
	}
}
