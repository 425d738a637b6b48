package pftest

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A Rule is a filter rule or the call of an anchor, for one port (0: all).
type Rule struct {
	Action   string // "pass", "block", "anchor"
	Anchor   string
	Dir      string // "in", "out", "": both
	Quick    bool
	Proto    string
	From, To Host
	Port     uint16
}

// A Host is one side of a rule.
type Host struct {
	Not    bool
	Table  string
	Prefix netip.Prefix // of no table; invalid: any
}

func (h Host) String() string {
	s := ""
	if h.Not {
		s = "! "
	}
	switch {
	case h.Table != "":
		return s + "<" + h.Table + ">"
	case h.Prefix.IsValid():
		return s + show(h.Prefix)
	}
	return "any"
}

// ruleText is how pfctl prints a rule.
func (s *State) ruleText(r Rule) string {
	var w []string
	switch r.Action {
	case "anchor":
		w = append(w, "anchor", strconv.Quote(r.Anchor))
	case "block":
		w = append(w, "block", "drop")
	default:
		w = append(w, r.Action)
	}
	if r.Dir != "" {
		w = append(w, r.Dir)
	}
	if r.Quick {
		w = append(w, "quick")
	}
	if r.Proto != "" {
		w = append(w, "proto", r.Proto)
	}
	if r.From == (Host{}) && r.To == (Host{}) && r.Port == 0 {
		w = append(w, "all")
	} else {
		w = append(w, "from", r.From.String(), "to", r.To.String())
	}
	if r.Port != 0 {
		w = append(w, "port", "=", s.portText(r.Port))
	}
	if r.Action == "pass" {
		w = append(w, "flags", "S/SA")
		if s.Flavour != OpenBSD {
			w = append(w, "keep", "state")
		}
	}
	return strings.Join(w, " ")
}

// portText: older versions print the names of services.
func (s *State) portText(p uint16) string {
	names := map[uint16]string{22: "ssh", 25: "smtp", 110: "pop3", 143: "imap", 587: "submission", 993: "imaps", 995: "pop3s"}
	if n := names[p]; n != "" && s.Flavour == MacOS {
		return n
	}
	return strconv.Itoa(int(p))
}

// ruleset is a parsed file.
type ruleset struct {
	rules  []Rule
	tables map[string]*Table
	listed map[string]bool // tables with an address list of their own
	limit  int
}

// parser reads one statement.
type parser struct {
	words []string
	bad   bool
}

func (p *parser) next() string {
	if len(p.words) == 0 {
		p.bad = true
		return ""
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w
}

func (p *parser) take(w string) bool {
	if len(p.words) == 0 || p.words[0] != w {
		return false
	}
	p.words = p.words[1:]
	return true
}

// parseRules reads a file of rules: tables, anchors, block and pass. bad is the
// first line that is not understood, 0 for none.
func (s *State) parseRules(text string) (rs ruleset, bad int) {
	rs = ruleset{tables: make(map[string]*Table), listed: make(map[string]bool)}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		for _, sign := range []string{"{", "}", "!", ",", "="} {
			line = strings.ReplaceAll(line, sign, " "+sign+" ")
		}
		p := &parser{words: strings.Fields(line)}
		if len(p.words) == 0 {
			continue
		}
		switch w := p.next(); w {
		case "set":
			if p.take("limit") && p.take("table-entries") {
				rs.limit, _ = strconv.Atoi(p.next())
			} else {
				p.bad = true
			}
		case "table":
			s.parseTable(p, &rs)
		case "anchor", "pass", "block":
			p.parseRule(w, &rs)
		default:
			p.bad = true
		}
		if p.bad || len(p.words) > 0 {
			return rs, n
		}
	}
	return rs, 0
}

func (s *State) parseTable(p *parser, rs *ruleset) {
	name := strings.TrimSuffix(strings.TrimPrefix(p.next(), "<"), ">")
	if name == "" || len(name) > 31 {
		p.bad = true
		return
	}
	t := &Table{Addrs: make(map[netip.Prefix]Addr)}
	rs.tables[name] = t
	for len(p.words) > 0 {
		switch p.next() {
		case "persist":
			t.Persist = true
		case "const":
			t.Const = true
		case "counters":
			t.Counters = true
			p.bad = p.bad || s.Flavour == MacOS
		case "{":
			rs.listed[name] = true
			for !p.take("}") && !p.bad {
				if p.take(",") {
					continue
				}
				not := p.take("!")
				a, ok := parseAddr(p.next())
				p.bad = p.bad || !ok
				t.Addrs[a] = Addr{Not: not, Since: s.Now}
			}
		default:
			p.bad = true
		}
	}
}

func (p *parser) parseRule(action string, rs *ruleset) {
	r := Rule{Action: action}
	switch action {
	case "anchor":
		r.Anchor = strings.Trim(p.next(), `"`)
	case "block":
		p.take("drop")
	}
	switch {
	case p.take("in"):
		r.Dir = "in"
	case p.take("out"):
		r.Dir = "out"
	}
	r.Quick = p.take("quick")
	if p.take("proto") {
		r.Proto = p.next()
	}
	ports := []uint16{0}
	if !p.take("all") && p.take("from") {
		r.From = p.parseHost()
		if !p.take("to") {
			p.bad = true
		}
		r.To = p.parseHost()
		if p.take("port") {
			ports = p.parsePorts()
		}
	}
	for _, port := range ports {
		r.Port = port
		rs.rules = append(rs.rules, r)
	}
}

func (p *parser) parseHost() (h Host) {
	h.Not = p.take("!")
	w := p.next()
	switch {
	case w == "any":
		h.Not = false
	case strings.HasPrefix(w, "<"):
		h.Table = strings.Trim(w, "<>")
	default:
		var ok bool
		h.Prefix, ok = parseAddr(w)
		p.bad = p.bad || !ok
	}
	return h
}

func (p *parser) parsePorts() (ports []uint16) {
	one := func() {
		n, err := strconv.ParseUint(p.next(), 10, 16)
		p.bad = p.bad || err != nil || n == 0
		ports = append(ports, uint16(n))
	}
	if !p.take("{") {
		p.take("=")
		one()
		return ports
	}
	for !p.take("}") && !p.bad {
		if !p.take(",") {
			one()
		}
	}
	return ports
}

// resolve is the anchor that a rule in an anchor means: names are relative.
func resolve(in, name string) string {
	if rest, ok := strings.CutPrefix(name, "/"); ok {
		return rest
	}
	return path.Join(in, name)
}

// Cuts says what becomes of the first packet of a TCP connection from a client
// to one of the host's ports.
func (s *State) Cuts(client netip.Addr, port uint16) bool {
	if !s.Enabled {
		return false
	}
	action := "pass"
	s.eval("", client, port, &action)
	return action == "block"
}

// eval goes through the rules of an anchor: the last that matches decides, or
// the first that is quick, which ends everything.
func (s *State) eval(in string, client netip.Addr, port uint16, action *string) (final, matched bool) {
	a := s.Anchors[in]
	if a == nil {
		return false, false
	}
	for _, r := range a.Rules {
		if r.Dir == "out" || r.Proto != "" && r.Proto != "tcp" || r.Port != 0 && r.Port != port ||
			!s.hostMatches(in, r.From, client) || r.To != (Host{}) {
			continue
		}
		if r.Action != "anchor" {
			*action, matched = r.Action, true
			if r.Quick {
				return true, true
			}
			continue
		}
		for _, sub := range s.called(in, r.Anchor) {
			final, inside := s.eval(sub, client, port, action)
			matched = matched || inside
			if final || inside && r.Quick {
				return true, true
			}
		}
	}
	return false, matched
}

// called are the anchors that a rule means: "x/*" are those right below x.
func (s *State) called(in, name string) []string {
	target := resolve(in, name)
	parent, ok := strings.CutSuffix(target, "/*")
	if !ok {
		return []string{target}
	}
	var list []string
	for name := range s.Anchors {
		if name != "" && path.Dir(name) == parent {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// hostMatches: a table is that of the anchor, or else that of the main ruleset.
func (s *State) hostMatches(in string, h Host, client netip.Addr) bool {
	ok := true
	switch {
	case h.Table != "":
		t := s.table(in, h.Table)
		if t == nil {
			t = s.table("", h.Table)
		}
		ok = false
		if t != nil {
			_, ok = t.matches(client)
		}
	case h.Prefix.IsValid():
		ok = h.Prefix.Contains(client)
	}
	return ok != h.Not
}

// loadRules is pfctl -f.
func (c *call) loadRules(text string) int {
	s := c.s
	if s.Flavour == OpenBSD {
		c.say("/etc/pf.os: No such file or directory")
	}
	rs, bad := s.parseRules(text)
	if bad > 0 {
		c.say("stdin:%d: syntax error", bad)
		c.say("pfctl: Syntax error in config file: pf rules not loaded")
		return 1
	}
	added := 0
	for _, t := range rs.tables {
		added += len(t.Addrs)
	}
	if c.full(added) {
		c.say("pfctl: Cannot allocate memory")
		return 1
	}
	a := s.anchor(c.anchor)
	a.Rules = rs.rules
	for name, t := range rs.tables {
		if old := a.Tables[name]; old != nil && t.Persist && !rs.listed[name] && !old.Inactive {
			t.Addrs = old.Addrs
		}
		a.Tables[name] = t
	}
	if rs.limit > 0 && c.anchor == "" {
		s.Limit, s.LimitSet = rs.limit, true
	}
	return 0
}

// show prints an address as pfctl does.
func show(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// parseAddr is inet_net_pton and getaddrinfo for what is numeric: host bits are
// cleared, a scope is lost, an IPv4-mapped address stays IPv6, 192.0.2 is
// taken.
func parseAddr(w string) (netip.Prefix, bool) {
	host, mask, masked := strings.Cut(w, "/")
	a, err := netip.ParseAddr(host)
	bits := a.BitLen()
	if err != nil {
		n := strings.Count(host, ".") + 1
		if strings.Trim(host, "0123456789.") != "" || n > 3 {
			return netip.Prefix{}, false
		}
		if a, err = netip.ParseAddr(host + strings.Repeat(".0", 4-n)); err != nil {
			return netip.Prefix{}, false
		}
		bits = 8 * n
	}
	if masked {
		if bits, err = strconv.Atoi(mask); err != nil {
			return netip.Prefix{}, false
		}
	}
	p, err := a.WithZone("").Prefix(bits)
	return p, err == nil
}
