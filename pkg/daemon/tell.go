package daemon

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
)

// tell logs the bans that have begun, gone on and ended, and tells the
// listeners. One that came and went between two changes of the firewall is told
// too.
func (c *core) tell(change ban.Change) {
	for _, s := range c.engine.Ended() {
		k := firewall.KeyOf(s.Entry())
		if c.told[k] != s.From {
			c.tellBan(&s.Ban)
		}
		delete(c.told, k)
		c.tellEnd(s)
	}
	for _, list := range [][]ban.Entry{change.Add, change.Refresh} {
		for _, e := range list {
			b := c.engine.Running(e.Prefix, e.Door)
			if b == nil {
				continue
			}
			if k := firewall.KeyOf(e); c.told[k] != b.From {
				c.told[k] = b.From
				c.tellBan(b)
			} else {
				c.tellRenewal(b)
			}
		}
	}
}

// toldAll takes the running bans for known: they were told before a restart.
func (c *core) toldAll() {
	c.told = make(map[firewall.Key]int64, c.engine.Len())
	for b := range c.engine.Bans() {
		c.told[firewall.KeyOf(b.Entry())] = b.From
	}
}

func (c *core) tellBan(b *ban.Ban) {
	why := b.Explain()
	c.count.start(b)
	c.d.log.Info("banned", "prefix", b.Prefix, "door", b.Door, "until", stamp(b.Until), "members", len(b.Members), "level", b.Level, "why", why)
	c.d.tell(Event{
		Time: stampOf(b.From), Type: "ban", Prefix: b.Prefix.String(), Door: b.Door.String(),
		Until: timeOf(b.Until), Members: len(b.Members), Level: b.Level, Text: why,
	})
}

func (c *core) tellRenewal(b *ban.Ban) {
	c.d.log.Debug("ban goes on", "prefix", b.Prefix, "door", b.Door, "until", stamp(b.Until), "renewals", b.Renewals)
	c.d.tell(Event{
		Time: c.now(), Type: "renew", Prefix: b.Prefix.String(), Door: b.Door.String(),
		Until: timeOf(b.Until), Members: len(b.Members), Level: b.Level, Knocks: b.Knocks,
	})
}

// tellEnd tells of the end of a ban, and remembers it.
func (c *core) tellEnd(s ban.Spell) {
	c.count.ended[s.End]++
	into := ""
	if s.Into.IsValid() {
		into = s.Into.String()
	}
	c.d.log.Info("ban ended", "prefix", s.Prefix, "door", s.Door, "how", s.End, "into", into, "since", stamp(s.From), "knocks", s.Knocks)
	c.d.tell(Event{
		Time: stampOf(s.Ended), Type: "end", Prefix: s.Prefix.String(), Door: s.Door.String(),
		Ended: s.End, Into: into, Knocks: s.Knocks, Members: len(s.Members), Level: s.Level,
	})
	if len(c.past) >= maxPast {
		c.past = append(c.past[:0], c.past[maxPast/4:]...)
	}
	c.past = append(c.past, s)
}

// now is the scoring clock.
func (c *core) now() time.Time { return stampOf(c.engine.Now()) }

func stampOf(t int64) time.Time { return time.Unix(t, 0).UTC() }

// stamp is a time for the log.
func stamp(t int64) string {
	if t == math.MaxInt64 {
		return "lifted by hand"
	}
	return stampOf(t).Format(time.RFC3339)
}

// timeOf is a time for JSON, nil for one that never comes.
func timeOf(t int64) *time.Time {
	if t == math.MaxInt64 || t == 0 {
		return nil
	}
	at := stampOf(t)
	return &at
}

// listenerRoom is how many events a listener may be behind.
const listenerRoom = 1024

// A listener gets what happens.
type listener struct {
	ch   chan Event
	lost uint64
}

// A crier tells events to all listeners. It never waits for one.
type crier struct {
	mu        sync.Mutex
	listeners map[*listener]bool
	closed    bool
}

func (d *Daemon) tell(ev Event) {
	k := &d.crier
	k.mu.Lock()
	defer k.mu.Unlock()
	for l := range k.listeners {
		l.send(ev)
	}
}

func (l *listener) send(ev Event) {
	if l.lost > 0 {
		select {
		case l.ch <- Event{Time: ev.Time, Type: "lost", Lost: l.lost}:
			l.lost = 0
		default:
		}
	}
	if l.lost == 0 {
		select {
		case l.ch <- ev:
			return
		default:
		}
	}
	l.lost++
}

// Subscribe listens to events until the context ends, when the channel is
// closed. A listener that is too slow loses events and is told how many.
func (d *Daemon) Subscribe(ctx context.Context) <-chan Event {
	k := &d.crier
	l := &listener{ch: make(chan Event, listenerRoom)}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || ctx.Err() != nil {
		close(l.ch)
		return l.ch
	}
	if k.listeners == nil {
		k.listeners = make(map[*listener]bool)
	}
	k.listeners[l] = true
	context.AfterFunc(ctx, func() { k.drop(l) })
	return l.ch
}

func (k *crier) drop(l *listener) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.listeners[l] {
		delete(k.listeners, l)
		close(l.ch)
	}
}

// close ends all listeners.
func (k *crier) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for l := range k.listeners {
		close(l.ch)
	}
	k.listeners = nil
}
