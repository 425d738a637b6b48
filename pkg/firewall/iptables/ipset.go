//go:build linux

package iptables

import (
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
)

const (
	// maxTimeout is the longest that ipset takes, in seconds; 0 would be an
	// entry without end.
	maxTimeout = 2147483
	// minMax is how many entries a new set may hold. It costs nothing: the
	// kernel's table grows with its contents.
	minMax = 1 << 17
	// maxMax is how far a set may grow.
	maxMax = 1 << 26
)

// A script is what `ipset restore` is fed.
type script struct{ b []byte }

func (s *script) word(words ...string) {
	for _, w := range words {
		s.b = append(s.b, w...)
	}
	s.b = append(s.b, '\n')
}

// create makes a set for n entries, or empties the one that is there.
func (s *script) create(set set, called string, n, most int) {
	hashsize := ceil2(max(1024, n/4)) // four entries a bucket: no growing while it is filled
	s.word("create ", called, set.header(), " hashsize ", strconv.Itoa(hashsize), " maxelem ", strconv.Itoa(most))
	s.word("flush ", called)
}

func (s *script) add(called string, p netip.Prefix, seconds int) {
	s.b = append(append(s.b, "add "...), called...)
	s.b = p.AppendTo(append(s.b, ' '))
	if seconds > 0 {
		s.b = strconv.AppendInt(append(s.b, " timeout "...), int64(seconds), 10)
	}
	s.b = append(s.b, '\n')
}

// carry adds an entry with what it has counted.
func (s *script) carry(called string, m member) {
	s.add(called, m.prefix, min(max(1, m.seconds), maxTimeout))
	s.b = strconv.AppendUint(append(s.b[:len(s.b)-1], " packets "...), m.packets, 10)
	s.b = strconv.AppendUint(append(s.b, " bytes "...), m.bytes, 10)
	s.b = append(s.b, '\n')
}

func (s *script) del(called string, p netip.Prefix) {
	s.b = append(append(s.b, "del "...), called...)
	s.b = append(p.AppendTo(append(s.b, ' ')), '\n')
}

// swap puts what was filled aside in the place of a set, in one instant.
func (s *script) swap(set set, owner string) {
	s.word("swap ", set.aside(owner), " ", set.name(owner))
	s.word("destroy ", set.aside(owner))
}

// feed runs a script. Adding what is there gives it the new timeout, deleting
// what is gone is no error. Lines before the one that is refused have been done.
func (b *Backend) feed(s *script) error {
	if len(s.b) == 0 {
		return nil
	}
	return run(b.programs.IPSet, s.b, nil, "-exist", "restore")
}

// ceil2 is the power of two that is at least n.
func ceil2(n int) int {
	if n <= 1 {
		return 1
	}
	return 1 << bits.Len(uint(n-1))
}

// seconds is a timeout in whole seconds: the nearest, as some time passes anyway
// until the kernel gets it.
func seconds(d time.Duration) int {
	return int(min(max(d.Round(time.Second)/time.Second, 1), maxTimeout))
}

// A header is what `ipset list -terse` says of a set.
type header struct {
	typ     string
	words   []string // "family inet hashsize 1024 ..."
	entries int
}

// value is the word after a word, "" when there is none.
func (h header) value(word string) string {
	if i := slices.Index(h.words, word); i >= 0 && i+1 < len(h.words) {
		return h.words[i+1]
	}
	return ""
}

func (h header) max() int {
	n, _ := strconv.Atoi(h.value("maxelem"))
	return n
}

// swappable: the kernel swaps sets of one type and family.
func (h header) swappable(s set) bool {
	return h.typ == "hash:net" && h.value("family") == s.family.inet()
}

// is says whether the header is that of our set.
func (h header) is(s set) bool {
	if !h.swappable(s) || slices.Contains(h.words, "forceadd") { // which throws entries out
		return false
	}
	if s.kind == allowed {
		return !slices.Contains(h.words, "timeout")
	}
	return h.value("timeout") == "0" && slices.Contains(h.words, "counters")
}

// headers are those of our sets, by name.
func (b *Backend) headers() (map[string]header, error) {
	ours := make(map[string]bool)
	for _, s := range allSets() {
		ours[s.name(b.o.Owner)], ours[s.aside(b.o.Owner)] = true, true
	}
	found := make(map[string]header)
	var current string
	err := run(b.programs.IPSet, nil, func(line string) {
		word, rest, _ := strings.Cut(line, ": ")
		if word == "Name" {
			current = rest
		}
		if !ours[current] {
			return
		}
		h := found[current]
		switch word {
		case "Type":
			h.typ = rest
		case "Header":
			h.words = strings.Fields(rest)
		case "Number of entries":
			h.entries, _ = strconv.Atoi(rest)
		}
		found[current] = h
	}, "list", "-terse")
	return found, err
}

// A member is an entry of a set as ipset shows it.
type member struct {
	prefix         netip.Prefix
	seconds        int  // it has left; 0: for ever
	nomatch        bool // an exception: what it names is not found
	packets, bytes uint64
	read           time.Time
}

// belongs says whether we might have put the member into the set: no others do
// any good there.
func (m member) belongs(s set) bool {
	return !m.nomatch && setOf(ban.Entry{Prefix: m.prefix, Door: s.door}) == s
}

// members reads a whole set. One that is not there, or of a type that holds no
// networks, has none.
func (b *Backend) members(s set) ([]member, error) {
	var all []member
	err := run(b.programs.IPSet, nil, func(line string) {
		if m, ok := parseMember(line); ok && familyOf(m.prefix) == s.family {
			m.read = b.o.Now()
			all = append(all, m)
		}
	}, "save", s.name(b.o.Owner))
	if err != nil && strings.Contains(err.Error(), "does not exist") {
		return nil, nil
	}
	// The kernel may show an entry twice while it makes its table larger.
	slices.SortFunc(all, func(x, y member) int { return x.prefix.Compare(y.prefix) })
	return slices.CompactFunc(all, func(x, y member) bool { return x.prefix == y.prefix }), err
}

// parseMember understands "add NAME 192.0.2.0/24 timeout 99 packets 0 bytes 0".
func parseMember(line string) (m member, ok bool) {
	rest, ok := strings.CutPrefix(line, "add ")
	if !ok {
		return m, false
	}
	_, rest, _ = strings.Cut(rest, " ")
	address, rest, _ := strings.Cut(rest, " ")
	if m.prefix, ok = parsePrefix(address); !ok {
		return m, false
	}
	for rest != "" {
		var word, value string
		word, rest, _ = strings.Cut(rest, " ")
		if word == "nomatch" {
			m.nomatch = true
			continue
		}
		value, rest, _ = strings.Cut(rest, " ")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return m, false
		}
		switch word {
		case "timeout":
			m.seconds = int(min(n, maxTimeout))
		case "packets":
			m.packets = n
		case "bytes":
			m.bytes = n
		}
	}
	return m, true
}

// parsePrefix: a host is shown without its length.
func parsePrefix(s string) (netip.Prefix, bool) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p, err == nil && p == p.Masked()
	}
	a, err := netip.ParseAddr(s)
	return netip.PrefixFrom(a, a.BitLen()), err == nil && a.Zone() == ""
}
