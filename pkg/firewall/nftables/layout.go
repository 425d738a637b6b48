//go:build linux

package nftables

import (
	"cmp"
	"maps"
	"net"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/maillog"
	"golang.org/x/sys/unix"
)

// The chains. The base chain stands in prerouting before connection tracking,
// so that established sessions, forwarded mail and the published ports of
// containers are cut too. What is not for a mail port passes its one rule.
//
//	prerouting   tcp dport @ports goto check
//	check        by family: goto check4, check6
//	check4       ip saddr @allow4 accept
//	             jump hosts4
//	             tcp dport @smtp jump smtp4
//	             tcp dport @login jump login4
//	hosts4       ip saddr @smtp4_32 goto cut                      everywhere
//	smtp4        ip saddr & 255.255.255.0 @smtp4_24 goto cut      at their own door
//	cut          counter drop
//
// The narrow come before the wide: a packet that is looked up while hosts give
// way to a network meets either the hosts or, after them, the network.
const (
	chainBase  = "prerouting"
	chainCheck = "check"
	chainHosts = "hosts"
	chainCut   = "cut"
	setPorts   = "ports"
	setAllow   = "allow" // and the family
)

// chains are the regular ones, those that are jumped to first.
func chains() []string {
	all := []string{chainCut}
	for door := range maillog.NumDoors {
		all = append(all, door.String()+"4", door.String()+"6")
	}
	return append(all, chainHosts+"4", chainHosts+"6", chainCheck+"4", chainCheck+"6", chainCheck)
}

// A layout makes what the table consists of, but for the bans.
type layout struct {
	o     firewall.Options
	table *nftables.Table
}

func newLayout(o firewall.Options) layout {
	return layout{o, &nftables.Table{Name: o.Owner, Family: nftables.TableFamilyINet}}
}

// baseChain is the one that the kernel calls.
func (l layout) baseChain() *nftables.Chain {
	policy := nftables.ChainPolicyAccept
	return &nftables.Chain{
		Name: chainBase, Table: l.table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw, Policy: &policy,
	}
}

// fixedSets are the sets that are always there, by name.
func (l layout) fixedSets() map[string]*nftables.Set {
	all := make(map[string]*nftables.Set)
	for _, name := range append(l.doors(), setPorts) {
		all[name] = &nftables.Set{Table: l.table, Name: name, KeyType: nftables.TypeInetService, KeyByteOrder: binaryutil.BigEndian}
	}
	all[setAllow+"4"] = &nftables.Set{Table: l.table, Name: setAllow + "4", KeyType: nftables.TypeIPAddr, Interval: true}
	all[setAllow+"6"] = &nftables.Set{Table: l.table, Name: setAllow + "6", KeyType: nftables.TypeIP6Addr, Interval: true}
	return all
}

// doors are those with ports, by name.
func (l layout) doors() []string {
	var names []string
	for door, ports := range l.o.Ports {
		if len(ports) > 0 {
			names = append(names, maillog.Door(door).String())
		}
	}
	return names
}

// banSet holds the bans of a slot.
func (l layout) banSet(s slot) *nftables.Set {
	set := &nftables.Set{
		Table: l.table, Name: s.set(), KeyType: nftables.TypeIPAddr, KeyByteOrder: binaryutil.BigEndian,
		HasTimeout: true, Counter: true,
	}
	if s.v6 {
		set.KeyType = nftables.TypeIP6Addr
	}
	return set
}

// sameShape says whether a set that is there is as we would make it.
func sameShape(have, want *nftables.Set) bool {
	return have.KeyType.GetNFTMagic() == want.KeyType.GetNFTMagic() && have.KeyType.Bytes == want.KeyType.Bytes &&
		have.Interval == want.Interval && have.HasTimeout == want.HasTimeout && have.Timeout == 0 && have.Size == 0 &&
		!have.IsMap && !have.Constant && !have.Anonymous && !have.Dynamic && !have.Concatenation
}

// addChains adds all chains.
func (l layout) addChains(c *nftables.Conn) {
	for _, name := range chains() {
		c.AddChain(&nftables.Chain{Name: name, Table: l.table})
	}
	c.AddChain(l.baseChain())
}

// addPorts fills the sets of ports anew.
func (l layout) addPorts(c *nftables.Conn) error {
	fill := func(name string, ports []uint16) error {
		set := l.fixedSets()[name]
		var elements []nftables.SetElement
		for _, p := range ports {
			elements = append(elements, nftables.SetElement{Key: binaryutil.BigEndian.PutUint16(p)})
		}
		c.FlushSet(set)
		return c.SetAddElements(set, elements)
	}
	for door, ports := range l.o.Ports {
		if len(ports) == 0 {
			continue
		}
		sorted := slices.Compact(slices.Sorted(slices.Values(ports)))
		if err := fill(maillog.Door(door).String(), sorted); err != nil {
			return err
		}
	}
	return fill(setPorts, l.o.AllPorts())
}

// addRules adds all rules to empty chains.
func (l layout) addRules(c *nftables.Conn, slots map[slot]bool) {
	add := func(chain string, exprs ...[]expr.Any) {
		c.AddRule(&nftables.Rule{Table: l.table, Chain: &nftables.Chain{Name: chain}, Exprs: slices.Concat(exprs...)})
	}
	cut := []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}
	if l.o.Action == firewall.Reject {
		cut[1] = &expr.Reject{Type: unix.NFT_REJECT_TCP_RST}
	}
	add(chainCut, cut)
	for _, v6 := range []bool{false, true} {
		s := slot{v6: v6}
		check := chainCheck + s.family()
		add(chainCheck, family(v6), verdict(expr.VerdictGoto, check))
		add(check, family(v6), source(v6), lookup(setAllow+s.family()), verdict(expr.VerdictAccept, ""))
		add(check, verdict(expr.VerdictJump, chainHosts+s.family()))
		for _, door := range l.doors() {
			add(check, port(door), verdict(expr.VerdictJump, door+s.family()))
		}
	}
	add(chainBase, port(setPorts), verdict(expr.VerdictGoto, chainCheck))
	l.addLookups(c, slots)
}

// addLookups adds the rules that look up slots, to empty chains.
func (l layout) addLookups(c *nftables.Conn, slots map[slot]bool) {
	narrowFirst := slices.SortedFunc(maps.Keys(slots), func(a, b slot) int {
		return cmp.Or(b.bits-a.bits, int(a.door)-int(b.door))
	})
	for _, s := range narrowFirst {
		exprs := slices.Concat(family(s.v6), source(s.v6), mask(s), lookup(s.set()), verdict(expr.VerdictGoto, chainCut))
		c.AddRule(&nftables.Rule{Table: l.table, Chain: &nftables.Chain{Name: s.chain()}, Exprs: exprs})
	}
}

// family matches the family of the packet. The chain has settled it already:
// it is there so that nft lists `ip saddr` and not an offset.
func family(v6 bool) []expr.Any {
	proto := byte(unix.NFPROTO_IPV4)
	if v6 {
		proto = unix.NFPROTO_IPV6
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
	}
}

// port matches TCP packets to a port in a set.
func port(set string) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: 1, SetName: set},
	}
}

// source loads the source address.
func source(v6 bool) []expr.Any {
	p := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4}
	if v6 {
		p.Offset, p.Len = 8, 16
	}
	return []expr.Any{p}
}

// mask cuts the loaded address to the length of a slot.
func mask(s slot) []expr.Any {
	width := s.width()
	if s.bits == 8*width {
		return nil
	}
	return []expr.Any{&expr.Bitwise{
		SourceRegister: 1, DestRegister: 1, Len: uint32(width),
		Mask: net.CIDRMask(s.bits, 8*width), Xor: make([]byte, width),
	}}
}

func lookup(set string) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: set}}
}

func verdict(kind expr.VerdictKind, chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}
}
