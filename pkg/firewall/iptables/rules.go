//go:build linux

package iptables

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	goiptables "github.com/coreos/go-iptables/iptables"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/maillog"
)

const (
	rawTable   = "raw"
	prerouting = "PREROUTING"
	// lockWait is how many seconds iptables waits for others that run it.
	lockWait = 10
	// maxPorts is how many ports the match multiport takes.
	maxPorts = 15
	// madeTable is the comment of a hook whose table was not there before us.
	madeTable = "postmoat-made-this-table"
)

// rules are those of one family.
type rules struct {
	family family
	chain  string
	native bool // iptables-nft
	ipt    *goiptables.IPTables

	// As iptables shows them: different versions show the same rule in
	// different words, so the words are asked for and kept.
	hooks, body []string
}

// openRules finds the iptables of a family. go-iptables runs it with the
// environment of this process and no time limit of its own, but --wait has one.
func openRules(f family, program, owner string) (*rules, error) {
	path, err := find(program)
	if err != nil {
		return nil, err
	}
	version := ""
	if err := run(path, nil, func(line string) { version = line }, "--version"); err != nil {
		return nil, err
	}
	proto := goiptables.ProtocolIPv4
	if f == ipv6 {
		proto = goiptables.ProtocolIPv6
	}
	ipt, err := goiptables.New(goiptables.IPFamily(proto), goiptables.Timeout(lockWait), goiptables.Path(path))
	if err != nil {
		return nil, err
	}
	return &rules{family: f, chain: chainOf(owner), native: strings.Contains(version, "nf_tables"), ipt: ipt}, nil
}

// wanted are the rules of the chain: the allowlist first, then the bans, the
// narrow before the wide, and these a second time, because one round can miss a
// ban while sets change:
//
//   - Hosts take the place of a network, and the packet asks for the host before
//     it is there and for the network after it is gone.
//   - The last entry of its length leaves a set. The kernel then moves the list
//     of lengths up by one, and a look-up that is under way skips the next
//     length (mtype_del_cidr and mtype_test_cidrs in ip_set_hash_gen.h: no lock
//     between them). Entries that the kernel ends by itself do the same.
//
// Measured with a flood against a set that changes 70,000 times a second, one
// round missed 7 in a million packets and 7 in a thousand; two missed none in
// ten million. A packet passes both only if its processor is stopped at two
// such places, each time for longer than a whole change takes.
func (b *Backend) wanted(f family) [][]string {
	lookup := func(s set, target string) []string {
		return []string{"-m", "set", "--match-set", s.name(b.o.Owner), "src", "-j", target}
	}
	var round [][]string
	for door := range maillog.NumDoors {
		round = append(round, lookup(set{f, hosts, door}, "DROP"))
	}
	for door, ports := range b.o.Ports {
		for _, match := range multiport(ports) {
			round = append(round, append(match, lookup(set{f, nets, maillog.Door(door)}, "DROP")...))
		}
	}
	return slices.Concat([][]string{lookup(set{family: f}, "RETURN")}, round, round)
}

// wantedHooks are the rules that call the chain: one, or more where the doors
// have more than 15 ports.
func (b *Backend) wantedHooks(r *rules, made bool) [][]string {
	var all [][]string
	for _, match := range multiport(b.o.AllPorts()) {
		if made {
			match = append(match, "-m", "comment", "--comment", madeTable)
		}
		all = append(all, append(match, "-j", r.chain))
	}
	return all
}

// multiport are matches of TCP to any of the ports.
func multiport(ports []uint16) [][]string {
	ports = slices.Clone(ports)
	slices.Sort(ports)
	var all [][]string
	for part := range slices.Chunk(slices.Compact(ports), maxPorts) {
		var list []string
		for _, p := range part {
			list = append(list, strconv.Itoa(int(p)))
		}
		all = append(all, []string{"-p", "tcp", "-m", "multiport", "--dports", strings.Join(list, ",")})
	}
	return all
}

// listHooks are the rules of PREROUTING that call our chain.
func (r *rules) listHooks() ([]string, error) {
	lines, err := r.ipt.List(rawTable, prerouting)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(lines, func(line string) bool {
		words := splitRule(line)
		n := len(words)
		return n < 4 || words[0] != "-A" || words[n-1] != r.chain || words[n-2] != "-j" && words[n-2] != "-g"
	}), nil
}

// listBody are the rules of our chain, false when there is none. (go-iptables
// knows the error of a missing chain with the legacy variant only, and its
// ChainExists says no of a chain whose rules cannot be shown.)
func (r *rules) listBody() ([]string, bool, error) {
	chains, err := r.ipt.ListChains(rawTable)
	if err != nil || !slices.Contains(chains, r.chain) {
		return nil, false, err
	}
	lines, err := r.ipt.List(rawTable, r.chain)
	lines = slices.DeleteFunc(lines, func(line string) bool { return !strings.HasPrefix(line, "-A ") })
	return lines, true, err
}

// build makes chain and hooks what they are to be, without a moment in which
// neither the old rules nor the new ones cut.
func (b *Backend) build(r *rules) error {
	hooks, err := r.listHooks()
	if err != nil {
		return err
	}
	// A flush takes the note away with the hook: so it is kept in mind as well.
	made := b.made[r.family] || noted(hooks)
	if r.native && len(hooks) == 0 && !made {
		there, err := tableExists(r.family)
		made = err == nil && !there
	}
	b.made[r.family] = made
	if err := r.buildBody(b.wanted(r.family)); err != nil {
		return err
	}
	if err := r.buildHooks(hooks, b.wantedHooks(r, made)); err != nil {
		return err
	}
	if r.hooks, err = r.listHooks(); err != nil {
		return err
	}
	r.body, _, err = r.listBody()
	return err
}

// buildBody puts the new rules ahead of the old ones, and then takes those away.
func (r *rules) buildBody(want [][]string) error {
	have, there, err := r.listBody()
	if err != nil {
		return err
	}
	if !there {
		if err := r.ipt.NewChain(rawTable, r.chain); err != nil {
			return err
		}
	}
	if there && slices.Equal(have, inWords(r.chain, want)) {
		return nil
	}
	for i, spec := range want {
		if err := r.ipt.Insert(rawTable, r.chain, i+1, spec...); err != nil {
			return err
		}
	}
	for i := len(want) + len(have); i > len(want); i-- {
		if err := r.ipt.DeleteById(rawTable, r.chain, i); err != nil {
			return err
		}
	}
	return nil
}

// buildHooks calls the chain first thing in PREROUTING, and no longer for other
// ports.
func (r *rules) buildHooks(have []string, want [][]string) error {
	stale := slices.Clone(have)
	for i, line := range inWords(prerouting, want) {
		if k := slices.Index(stale, line); k >= 0 {
			stale = slices.Delete(stale, k, k+1)
			continue
		}
		if err := r.ipt.Insert(rawTable, prerouting, 1, want[i]...); err != nil {
			return err
		}
	}
	return r.unhook(stale)
}

// unhook deletes rules of PREROUTING.
func (r *rules) unhook(lines []string) error {
	for _, line := range lines {
		if err := r.ipt.Delete(rawTable, prerouting, splitRule(line)[2:]...); err != nil {
			return err
		}
	}
	return nil
}

// remove takes hooks and chain away, and the table if it was made for us and is
// empty.
func (r *rules) remove(made bool) error {
	hooks, err := r.listHooks()
	if err != nil {
		return err
	}
	if err := r.unhook(hooks); err != nil {
		return err
	}
	if _, there, err := r.listBody(); err != nil {
		return err
	} else if there {
		if err := errors.Join(r.ipt.ClearChain(rawTable, r.chain), r.ipt.DeleteChain(rawTable, r.chain)); err != nil {
			return err
		}
	}
	if r.native && (made || noted(hooks)) {
		r.removeTable()
	}
	return nil
}

// noted says whether hooks have the note that the table was made for them.
func noted(hooks []string) bool {
	return slices.ContainsFunc(hooks, func(line string) bool { return strings.Contains(line, madeTable) })
}

// inWords are rules as iptables shows them, if it shows them as they were given.
func inWords(chain string, specs [][]string) []string {
	var lines []string
	for _, spec := range specs {
		lines = append(lines, "-A "+chain+" "+strings.Join(spec, " "))
	}
	return lines
}

// splitRule are the words of a rule as iptables shows it; those with blanks are
// in double quotes.
func splitRule(line string) (words []string) {
	var word strings.Builder
	open, quoted := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted && i+1 < len(line):
			i++
			word.WriteByte(line[i])
		case c == '"':
			quoted, open = !quoted, true
		case c == ' ' && !quoted:
			if open {
				words = append(words, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteByte(c)
			open = true
		}
	}
	if open {
		words = append(words, word.String())
	}
	return words
}

// missingFamily says that an error means that the host does without a family.
func missingFamily(err error) bool {
	kind := explain("", err)
	for _, k := range []error{firewall.ErrMissingProgram, firewall.ErrMissingModule} {
		if kind != nil && errors.Is(kind, k) {
			return true
		}
	}
	return false
}
