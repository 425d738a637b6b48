package allow

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/postmoat/postmoat/pkg/prefix"
)

const (
	forever       = math.MaxInt64
	everyFiles    = 1 // seconds between two looks, which cost an open each
	everySessions = 2
)

// The sorts of sources, in the order in which Sources lists them.
const (
	fixed = iota // configuration, special and private ranges
	fromFiles
	fromNames
	fromHost
	fromPostfix
	fromSessions
	numParts
)

// A Collector finds out what must never be banned, again and again. Its methods
// may be called by several goroutines; only Collect and Refresh look at the
// world and may take as long as it does.
type Collector struct {
	o Options

	work    sync.Mutex // held while looking; guards the next six
	files   *files
	names   *names
	host    *host
	postfix *postfix
	uses    []use // of the last look at the names
	looked  int64 // when the last look was, Unix seconds

	mu    sync.Mutex // guards what follows, never held while looking
	due   [numParts]int64
	parts [numParts]part
	first bool // before the first look
	added []Addition
	saved State // without the additions
	list  *List
}

// New makes a Collector that has looked at nothing yet: until the first Collect
// or Refresh, List asks to ban nothing.
func New(o Options) *Collector {
	o = o.withDefaults()
	c := &Collector{
		o:       o,
		files:   newFiles(o),
		names:   newNames(o),
		host:    newHost(o),
		postfix: &postfix{o: o},
		first:   true,
	}
	c.parts[fixed] = o.fixed()
	c.due[fixed] = forever
	if len(o.Files) == 0 {
		c.parts[fromFiles], _ = c.files.look()
		c.due[fromFiles] = forever
	}
	if !o.Host {
		c.due[fromHost], c.due[fromPostfix], c.due[fromSessions] = forever, forever, forever
		c.parts[fromHost] = part{sources: []Source{{Name: "host", Text: "this host is not looked at"}}}
	}
	c.publish(o.Now().Unix())
	return c
}

// fixed makes the entries that need no look.
func (o Options) fixed() (pt part) {
	for _, n := range o.Networks {
		p := prefix.Canonical(n.Prefix)
		if !p.IsValid() {
			pt.problem(Alarm, n.Origin, "is no valid prefix and does not count")
			continue
		}
		pt.entries = append(pt.entries, Entry{Prefix: p, Kind: Config, Origin: n.Origin})
	}
	pt.sources = append(pt.sources, Source{Name: "networks", Entries: len(pt.entries)})
	for _, p := range prefix.Special() {
		pt.entries = append(pt.entries, Entry{Prefix: p, Kind: Special, Origin: "special ranges"})
	}
	pt.sources = append(pt.sources, Source{Name: "special ranges", Entries: len(prefix.Special())})
	private := Source{Name: "private ranges", Text: "switched off by private: false"}
	if o.Private {
		private = Source{Name: "private ranges", Entries: len(prefix.Private())}
		for _, p := range prefix.Private() {
			pt.entries = append(pt.entries, Entry{Prefix: p, Kind: Private, Origin: "private ranges"})
		}
	}
	pt.sources = append(pt.sources, private)
	for _, name := range o.Names {
		n, err := parseName(name)
		if err != nil {
			pt.problem(NoWidening, "allow.names", "%v", err)
			continue
		}
		pt.uses = append(pt.uses, use{name: n, kind: Name, origin: n, strict: true})
	}
	if a, ok := SSHPeer(o.SSHConnection); ok {
		pt.host(Session, a, "SSH_CONNECTION")
	}
	return pt
}

// Collect looks at everything, due or not. The error is that of ctx; whatever
// else went wrong is a Problem of the list.
func (c *Collector) Collect(ctx context.Context) (*List, error) {
	l, _, err := c.look(ctx, true)
	return l, err
}

// Refresh looks at what is due. changed says that the list is another than the
// one before, be it that only a problem came or went. The error is that of ctx;
// the list is then the one in force.
func (c *Collector) Refresh(ctx context.Context) (l *List, changed bool, err error) {
	return c.look(ctx, false)
}

// Next says when Refresh has something to do; the zero Time: never.
func (c *Collector) Next() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := slices.Min(c.due[:])
	for _, a := range c.added {
		if a.Until != 0 {
			next = min(next, a.Until)
		}
	}
	if next == forever {
		return time.Time{}
	}
	return time.Unix(next, 0)
}

// List gives the list in force without looking at anything.
func (c *Collector) List() *List {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list
}

func (c *Collector) look(ctx context.Context, all bool) (*List, bool, error) {
	c.work.Lock()
	defer c.work.Unlock()
	now := c.o.Now().Unix()
	if now < c.looked {
		all = true // the clock was set back: what is due is anybody's guess
	}
	c.mu.Lock()
	due, parts := c.due, c.parts
	c.mu.Unlock()
	is := func(i int) bool { return due[i] != forever && (all || now >= due[i]) }

	filesSame := true
	if is(fromFiles) {
		parts[fromFiles], filesSame = c.files.look()
		due[fromFiles] = now + everyFiles
	}
	if is(fromHost) {
		parts[fromHost] = c.lookHost(ctx)
		due[fromHost] = now + everyHost
	}
	if is(fromPostfix) {
		pt, err := c.postfix.look(ctx, now, all)
		if err != nil {
			return c.List(), false, err
		}
		parts[fromPostfix], due[fromPostfix] = pt, now+everyHost
	}
	if is(fromSessions) {
		parts[fromSessions] = c.host.sessions()
		due[fromSessions] = now + everySessions
	}
	uses := slices.Concat(parts[fixed].uses, parts[fromFiles].uses, parts[fromPostfix].uses)
	asked := c.first || all || now >= due[fromNames] || !slices.Equal(uses, c.uses)
	if asked {
		pt, next, err := c.names.look(ctx, uses, now, all)
		if err != nil {
			return c.List(), false, err
		}
		parts[fromNames], due[fromNames], c.uses = pt, next, uses
	} else if err := ctx.Err(); err != nil {
		return c.List(), false, err
	}
	c.looked = now

	c.mu.Lock()
	defer c.mu.Unlock()
	changed := c.first || slices.ContainsFunc(c.added, func(a Addition) bool { return a.over(now) })
	for i := range parts {
		changed = changed || !parts[i].equal(c.parts[i])
	}
	c.due, c.parts, c.first = due, parts, false
	if !filesSame || asked {
		c.saved = State{Folders: c.files.folderState(), Files: c.files.state(), Names: c.names.state()}
	}
	before := c.list
	if changed {
		c.publish(now)
	}
	return c.list, c.list != before, nil
}

func (c *Collector) lookHost(ctx context.Context) (pt part) {
	one, err := c.host.interfaces()
	pt.add(c.host.keep("interfaces", one, err))
	one, err = c.host.gateways(ctx)
	pt.add(c.host.keep("gateways", one, err))
	one, err = c.host.resolvers()
	pt.add(c.host.keep("resolvers", one, err))
	return pt
}

// publish makes the list of what is known, unless it would be the same again.
// mu is held.
func (c *Collector) publish(now int64) {
	var pt part
	for i := range c.parts {
		pt.add(c.parts[i])
	}
	c.added = slices.DeleteFunc(c.added, func(a Addition) bool { return a.over(now) })
	for _, a := range c.added {
		pt.entries = append(pt.entries, a.entry())
	}
	if len(c.added) > 0 {
		pt.sources = append(pt.sources, Source{Name: "operator", Entries: len(c.added)})
	}
	if c.first {
		pt.problem(BanNothing, "allowlist", "it is not read yet")
	}
	l := newList(pt.entries, pt.problems, pt.sources)
	if c.list != nil {
		if l.equal(c.list) {
			return
		}
		l.serial = c.list.serial
	}
	l.serial++
	for i := range l.problems {
		l.problems[i].Since = c.since(l.problems[i], now)
	}
	c.list = l
}

// since says when a problem was first seen, however often the list changed since.
func (c *Collector) since(p Problem, now int64) int64 {
	if c.list != nil {
		if i, found := slices.BinarySearchFunc(c.list.problems, p, compareProblems); found {
			return c.list.problems[i].Since
		}
	}
	return now
}
