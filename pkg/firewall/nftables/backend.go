//go:build linux

// Package nftables holds bans in a table of its own (inet postmoat), over
// netlink: no program is run.
//
// There is one hash set for each family, prefix length and door in use, looked
// up with the source address cut to that length. So adding costs the same
// however many there are, and a wide ban and the narrow ones it takes the place
// of never overlap in one set. Entries have kernel timeouts and counters.
package nftables

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"github.com/postmoat/postmoat/pkg/firewall"
)

// A Backend is one table. It can be used by several goroutines.
type Backend struct {
	o      firewall.Options
	layout layout
	ports  ports

	mu    sync.Mutex
	sock  *socket             // nil: to be opened
	batch batch               // reused
	slots map[slot]bool       // sets that are there and looked up; nil: not set up
	rules map[string][]uint64 // handles of the rules of each chain, as we made them
	allow []span              // what the allow sets hold

	// Generations of the host's whole ruleset. Each commit, ours or not,
	// makes the next one: as long as the generation is one that only our own
	// commits led to, nobody else was there.
	shape    uint32 // the structure was ours in this generation
	contents uint32 // and so were the bans; 0: not known
}

var _ firewall.Backend = (*Backend)(nil)

// New returns a backend; nothing is opened or touched yet.
func New(o firewall.Options) (*Backend, error) {
	o, err := o.WithDefaults()
	if err != nil {
		return nil, err
	}
	return &Backend{o: o, layout: newLayout(o)}, nil
}

// Name is "nftables".
func (b *Backend) Name() string { return name }

// Close lets go of the socket; the bans stay.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hangUp()
}

// Teardown deletes the table, and everything with it.
func (b *Backend) Teardown(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	b.slots, b.rules, b.shape, b.contents = nil, nil, 0, 0
	err := b.query(func(c *nftables.Conn) error {
		there, err := b.findTable(c)
		if there == nil {
			return err
		}
		c.DelTable(b.layout.table)
		return c.Flush()
	})
	return explain("tear down", err)
}

// SetAllow replaces the contents of the allow sets in one transaction.
func (b *Backend) SetAllow(ctx context.Context, allow []netip.Prefix) error {
	if err := errors.Join(ctx.Err(), firewall.CheckAllow(name, allow)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return explain("set allowlist", b.setAllow(allow))
}

// open makes sure that there is a socket.
func (b *Backend) open() error {
	if b.sock != nil {
		return nil
	}
	s, err := dial()
	if err != nil {
		return err
	}
	b.ports.add(s.port)
	b.sock = s
	return nil
}

// hangUp closes the socket: after an answer that was lost the next one might
// be that to an older question.
func (b *Backend) hangUp() error {
	if b.sock == nil {
		return nil
	}
	err := b.sock.close()
	b.sock = nil
	return err
}

// exchange runs f on the socket, and hangs up after any error but a refusal.
func (b *Backend) exchange(f func(*socket) error) error {
	if err := b.open(); err != nil {
		return err
	}
	err := f(b.sock)
	if _, refused := errors.AsType[*kernelError](err); err != nil && !refused {
		_ = b.hangUp()
	}
	return err
}

// query runs f on a connection of the library, one for each time: after an
// error answers may be left in it.
func (b *Backend) query(f func(c *nftables.Conn) error) error {
	prepare := func(c *netlink.Conn) error {
		b.ports.add(c.PID())
		return errors.Join(c.SetReadBuffer(bufferSize), c.SetWriteBuffer(bufferSize),
			c.SetDeadline(time.Now().Add(answerTime*time.Second)))
	}
	c, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(prepare))
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.CloseLasting())
}

// steady reads with f, again and again until nobody changes the ruleset
// meanwhile (the library does not tell when a dump was interrupted). It returns
// the generation that was read.
func (b *Backend) steady(f func(c *nftables.Conn) error) (uint32, error) {
	for range dumpTries {
		before, err := b.generation()
		if err != nil {
			return 0, err
		}
		if err := b.query(f); err != nil {
			return 0, err
		}
		now, err := b.generation()
		if err != nil || now == before {
			return now, err
		}
	}
	return 0, errBusyRuleset
}

// errBusyRuleset is rare: reading takes some milliseconds.
var errBusyRuleset = errors.New("somebody keeps changing the ruleset while it is read")

// structure runs f and then commits, in one transaction, what f has put into
// the connection.
func (b *Backend) structure(f func(c *nftables.Conn) error) error {
	err := b.query(func(c *nftables.Conn) error {
		if err := f(c); err != nil {
			return err
		}
		return c.Flush()
	})
	if err != nil {
		return err
	}
	return b.advance()
}

// findTable is our table, nil when there is none.
func (b *Backend) findTable(c *nftables.Conn) (*nftables.Table, error) {
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		if t.Name == b.layout.table.Name {
			return t, nil
		}
	}
	return nil, nil
}

// generation is that of the host's ruleset now.
func (b *Backend) generation() (gen uint32, err error) {
	err = b.exchange(func(s *socket) error {
		gen, err = s.generation()
		return err
	})
	return gen, err
}

// advance follows the generations after a commit of our own, if nobody else
// has committed meanwhile.
func (b *Backend) advance() error {
	gen, err := b.generation()
	if err != nil {
		return err
	}
	if gen == after(b.shape) {
		b.shape = gen
	}
	if gen == after(b.contents) {
		b.contents = gen
	}
	return nil
}

// after is the generation that follows: the kernel leaves 0 out. Not known (0)
// is followed by no generation.
func after(gen uint32) uint32 {
	switch gen {
	case 0:
		return 0
	case 1<<32 - 1:
		return 1
	}
	return gen + 1
}
