package allow

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// Times and bounds of DNS names, in seconds where they are numbers.
const (
	maxNames    = 512 // names and domains looked up
	maxAddrs    = 32  // addresses of one name
	maxHosts    = 16  // mail exchangers of one domain
	keepAnswer  = 7 * 86400
	grace       = 600  // a name that was never resolved holds widening up this long
	everyName   = 300  // Go's resolver tells no TTL
	everyMX     = 3600 // these hardly ever change
	retryFirst  = 30   // within the grace
	retryLater  = 120
	lookupTime  = 5 * time.Second
	roundTime   = 30 * time.Second
	lookupsOnce = 8 // at the same time
)

// A use is one reason to know the addresses of a name.
type use struct {
	name   string
	mx     bool   // name is a domain: its mail exchangers are meant
	host   bool   // with mx: the host of that name where it has no mail exchanger
	own    string // with mx: the mail exchanger that is this host itself
	kind   Kind
	origin string
	strict bool // wider bans wait for the first answer
}

type query struct {
	name string
	mx   bool
}

func compareQueries(a, b query) int {
	if a.mx != b.mx {
		if a.mx {
			return 1
		}
		return -1
	}
	return cmp.Compare(a.name, b.name)
}

// A family is the last good answer for IPv4 or IPv6: an AAAA query that
// times out must not take away the addresses it gave before.
type family struct {
	addrs []netip.Addr // sorted, at most maxAddrs
	more  bool         // there were more
	at    int64        // when, Unix seconds; 0: never
}

// A lookup is what is known of one name or domain.
type lookup struct {
	v4, v6  family
	hosts   []string // of a domain, sorted
	hostsAt int64    // 0: never
	none    bool     // the DNS says that the domain has no mail exchanger
	asked   int64    // first, 0: never
	failing int64    // since when, 0: the last look was good
	failure string
	due     int64
}

func (l *lookup) at() int64 { return max(l.v4.at, l.v6.at, l.hostsAt) }

// lapse drops answers that are too old to stand for anything.
func (l *lookup) lapse(now int64) {
	for _, f := range []*family{&l.v4, &l.v6} {
		if f.at != 0 && now-f.at > keepAnswer {
			*f = family{}
		}
	}
	if l.hostsAt != 0 && now-l.hostsAt > keepAnswer {
		l.hosts, l.hostsAt = nil, 0
	}
}

// names looks names up and keeps the answers.
type names struct {
	o     Options
	known map[query]*lookup
}

func newNames(o Options) *names { return &names{o: o, known: make(map[query]*lookup)} }

// look asks for what is due (all: for everything), first the mail exchangers of
// domains, then the addresses of hosts. The error is that of ctx; then nothing
// of a half-done round counts.
func (n *names) look(ctx context.Context, uses []use, now int64, all bool) (part, int64, error) {
	if n.o.NoDNS {
		return n.unasked(uses), forever, nil
	}
	// The deadline of the round is not that of the caller.
	round, stop := context.WithTimeout(ctx, roundTime)
	defer stop()
	for _, l := range n.known {
		l.lapse(now)
	}
	n.prune(uses, n.hostUses(uses), now)
	over := n.wanted(uses)
	if err := n.ask(ctx, round, n.due(uses, true, now, all), now); err != nil {
		return part{}, 0, err
	}
	hosts := n.hostUses(uses)
	over += n.wanted(hosts[direct(uses):])
	if err := n.ask(ctx, round, n.due(hosts, false, now, all), now); err != nil {
		return part{}, 0, err
	}
	pt := n.tell(uses, hosts, now)
	if over > 0 {
		pt.problem(NoWidening, "names", "%d names too many, they are not looked up: at most %d are; list networks instead", over, maxNames)
	}
	return pt, n.next(slices.Concat(uses, hosts)), nil
}

func (n *names) unasked(uses []use) part {
	pt := part{sources: []Source{{Name: "names", Text: "names are not looked up here"}}}
	for _, u := range uses {
		pt.problem(Note, u.origin, "%s is not looked up here", u.name)
	}
	return pt
}

// wanted makes room for the names in use and says for how many there is none.
func (n *names) wanted(uses []use) (over int) {
	for _, u := range uses {
		q := query{u.name, u.mx}
		switch {
		case n.known[q] != nil:
		case len(n.known) >= maxNames:
			over++
		default:
			n.known[q] = new(lookup)
		}
	}
	return over
}

// prune forgets names that nobody uses: at once where room is short, else when
// their answers are too old to be of use to whoever asks again.
func (n *names) prune(uses, hosts []use, now int64) {
	used := make(map[query]bool, len(uses)+len(hosts))
	for _, u := range slices.Concat(uses, hosts) {
		used[query{u.name, u.mx}] = true
	}
	short := len(n.known) > maxNames/2
	maps.DeleteFunc(n.known, func(q query, l *lookup) bool {
		return !used[q] && (short || now-l.at() > keepAnswer)
	})
}

// due gives what is to be asked now, sorted.
func (n *names) due(uses []use, mx bool, now int64, all bool) []query {
	var qs []query
	for _, u := range uses {
		q := query{u.name, u.mx}
		l := n.known[q]
		if l == nil || u.mx != mx || !all && now < l.due {
			continue
		}
		qs = append(qs, q)
	}
	slices.SortFunc(qs, compareQueries)
	return slices.Compact(qs)
}

// hostUses gives the uses of hosts: first those that were wanted as such, then
// the mail exchangers of the domains.
func (n *names) hostUses(uses []use) []use {
	hosts := slices.DeleteFunc(slices.Clone(uses), func(u use) bool { return u.mx })
	for _, u := range uses {
		if !u.mx {
			continue
		}
		l := n.known[query{u.name, true}]
		if l == nil {
			continue
		}
		for _, h := range l.hosts {
			if h == u.own {
				continue
			}
			hosts = append(hosts, use{name: h, kind: u.kind, origin: u.origin + ": " + h})
		}
		if u.host && l.none && len(l.hosts) == 0 {
			u.mx = false
			hosts = append(hosts, u)
		}
	}
	return hosts
}

// direct counts the hosts that are wanted as such.
func direct(uses []use) (count int) {
	for _, u := range uses {
		if !u.mx {
			count++
		}
	}
	return count
}

// An outcome is the answer to one query.
type outcome struct {
	v4, v6       []netip.Addr
	err4, err6   error
	exchangers   []*net.MX
	errExchanger error
}

// ask looks up several names at a time and notes what came of it.
func (n *names) ask(ctx, round context.Context, qs []query, now int64) error {
	outcomes := make([]outcome, len(qs))
	var wg sync.WaitGroup
	free := make(chan struct{}, lookupsOnce)
	for i, q := range qs {
		free <- struct{}{}
		wg.Go(func() {
			outcomes[i] = n.one(round, q)
			<-free
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for i, q := range qs {
		n.known[q].note(q, outcomes[i], now)
	}
	return nil
}

func (n *names) one(ctx context.Context, q query) (o outcome) {
	ctx, stop := context.WithTimeout(ctx, lookupTime)
	defer stop()
	name := q.name
	if strings.Contains(name, ".") {
		name += "." // no search list
	}
	if q.mx {
		o.exchangers, o.errExchanger = n.o.DNS.LookupMX(ctx, name)
		return o
	}
	var wg sync.WaitGroup
	wg.Go(func() { o.v4, o.err4 = n.o.DNS.LookupNetIP(ctx, "ip4", name) })
	wg.Go(func() { o.v6, o.err6 = n.o.DNS.LookupNetIP(ctx, "ip6", name) })
	wg.Wait()
	return o
}

// note takes an answer over. What failed leaves the last good answer as it is.
func (l *lookup) note(q query, o outcome, now int64) {
	if l.asked == 0 {
		l.asked = now
	}
	var err error
	if q.mx {
		err = l.noteHosts(o, now)
	} else {
		err = l.noteAddrs(o, now)
	}
	every := int64(everyName)
	if q.mx {
		every = everyMX
	}
	switch {
	case err == nil:
		l.failing, l.failure = 0, ""
		l.due = now + every + jitter(q.name, every/10)
		return
	case l.failing == 0:
		l.failing = now
	}
	l.failure = failure(err)
	if now < l.asked+grace && l.at() == 0 {
		l.due = min(now+retryFirst, l.asked+grace)
	} else {
		l.due = now + retryLater + jitter(q.name, retryLater/10)
	}
}

func (l *lookup) noteHosts(o outcome, now int64) error {
	var hosts []string
	for _, mx := range o.exchangers {
		name := strings.ToLower(strings.TrimSuffix(mx.Host, "."))
		if validName(name) {
			hosts = append(hosts, name)
		}
	}
	if len(hosts) == 0 {
		// An MX of "." (RFC 7505) says "none" as well.
		// The hosts it had before lapse in their own time.
		if l.none = o.errExchanger == nil || notFound(o.errExchanger); l.none {
			return nil
		}
		return o.errExchanger
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	l.hosts, l.hostsAt, l.none = hosts[:min(len(hosts), maxHosts)], now, false
	return nil
}

var errNoAddress = errors.New("no address")

func (l *lookup) noteAddrs(o outcome, now int64) error {
	v4, v6 := newFamily(o.v4, now), newFamily(o.v6, now)
	if len(v4.addrs)+len(v6.addrs) == 0 {
		err4, err6 := cmp.Or(o.err4, errNoAddress), cmp.Or(o.err6, errNoAddress)
		if notFound(err4) && !notFound(err6) {
			return err6
		}
		return err4
	}
	// The name exists. A family it surely has no address of any more is
	// emptied; one that could not be asked stays.
	if len(v4.addrs) > 0 || o.err4 == nil || notFound(o.err4) {
		l.v4 = v4
	}
	if len(v6.addrs) > 0 || o.err6 == nil || notFound(o.err6) {
		l.v6 = v6
	}
	return nil
}

func newFamily(answer []netip.Addr, now int64) family {
	addrs := make([]netip.Addr, 0, len(answer))
	for _, a := range answer {
		if a.IsValid() {
			addrs = append(addrs, prefix.Addr(a))
		}
	}
	if len(addrs) == 0 {
		return family{}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	n := min(len(addrs), maxAddrs)
	return family{addrs: slices.Clip(addrs[:n]), more: len(addrs) > n, at: now}
}

func notFound(err error) bool {
	var de *net.DNSError
	return errors.Is(err, errNoAddress) || errors.As(err, &de) && de.IsNotFound
}

// failure is the reason without the name of the server and the query, so that
// the same failure has the same text each time.
func failure(err error) string {
	var de *net.DNSError
	switch {
	case errors.As(err, &de) && de.IsNotFound:
		return "the DNS knows no such name"
	case errors.As(err, &de) && de.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return "the resolver does not answer in time"
	case errors.As(err, &de):
		return cut(de.Err)
	}
	return cut(err.Error())
}

// jitter spreads names over time, the same way on every run: -most..most.
func jitter(name string, most int64) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return int64(h.Sum32())%(2*most+1) - most
}

// next says when a name in use is due, in Unix seconds.
func (n *names) next(uses []use) int64 {
	next := int64(forever)
	for _, u := range uses {
		if l := n.known[query{u.name, u.mx}]; l != nil {
			next = min(next, l.due)
		}
	}
	return next
}
