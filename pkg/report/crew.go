package report

import (
	"sync"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/source"
)

// A crew reads, parses and feeds the blocks of a replay on several processors. Each
// of its members does what is there to do: feed the block whose turn it is, or else
// read one more and parse it. Blocks are read one at a time and fed one at a time, in
// their order, so that all is as on one processor; only parsing is done side by side.
// No member has one part for itself: it would wait for others, and to wake up may
// take longer than the work.
type crew struct {
	player *player
	next   func() (*source.Block, bool) // the next block, false after the last

	mu      sync.Mutex
	changed *sync.Cond
	ring    [batches]batch // by number of the block
	read    int            // blocks that were read
	fed     int            // and of those, that were fed
	reading bool           // somebody reads
	feeding bool           // somebody feeds
	ended   bool           // all was read
	waiting int            // members with nothing to do
}

// batches is how many blocks are under way at once.
const batches = 8

func newCrew(p *player, next func() (*source.Block, bool)) *crew {
	c := &crew{player: p, next: next}
	c.changed = sync.NewCond(&c.mu)
	return c
}

// run returns when all is fed. So many others help.
func (c *crew) run(others int) {
	var g sync.WaitGroup
	for range min(others, batches) {
		g.Go(func() { c.work(new(maillog.Parser)) })
	}
	c.work(&c.player.parser)
	g.Wait()
}

// work is what a member does until all is fed.
func (c *crew) work(parser *maillog.Parser) {
	c.mu.Lock()
	for {
		switch b := &c.ring[c.fed%batches]; {
		case b.parsed && !c.feeding:
			c.feed(b)
		case !c.ended && !c.reading && c.read-c.fed < batches:
			c.readOne(parser)
		case c.ended && c.fed == c.read:
			c.mu.Unlock()
			return
		default:
			c.waiting++
			c.changed.Wait()
			c.waiting--
		}
	}
}

// feed feeds the block whose turn it is. mu is held before and after it.
func (c *crew) feed(b *batch) {
	c.feeding = true
	c.mu.Unlock()
	c.player.take(b)
	b.block.Release()
	c.mu.Lock()
	b.parsed, c.feeding = false, false
	c.fed++
	c.call()
}

// readOne reads a block and parses it. mu is held before and after it.
func (c *crew) readOne(parser *maillog.Parser) {
	c.reading = true
	c.mu.Unlock()
	block, ok := c.next()
	c.mu.Lock()
	c.reading = false
	if !ok {
		c.ended = true
		c.call()
		return
	}
	b := &c.ring[c.read%batches]
	c.read++
	c.call()
	c.mu.Unlock()
	b.block = block
	b.parse(parser, c.player.custom)
	c.mu.Lock()
	b.parsed = true
	c.call()
}

// call says that something changed: what one member has done makes work for one
// other at most, besides itself, until there is no more for anybody.
func (c *crew) call() {
	switch {
	case c.ended && c.fed == c.read:
		c.changed.Broadcast()
	case c.waiting > 0:
		c.changed.Signal()
	}
}
