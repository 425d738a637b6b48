package allow

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postmoat/postmoat/pkg/prefix"
)

const (
	maxInstances = 16
	maxDomains   = 64
)

// What is asked of postconf(1). Lists of networks and hosts first, then what is
// a single value, then lists of the domains whose mail exchangers are ours.
var (
	postNetworks = []string{"mynetworks", "proxy_interfaces", "inet_interfaces", "smtpd_authorized_xclient_hosts", "smtpd_authorized_xforward_hosts"}
	postSingles  = []string{"relayhost", "myhostname", "mydomain", "config_directory"}
	postDomains  = []string{"mydestination", "relay_domains", "virtual_mailbox_domains", "virtual_alias_domains"}
)

// postfix asks Postfix what it trusts, and keeps the last good answer.
type postfix struct {
	o       Options
	last    part
	good    bool
	asked   int64 // first, 0: never
	watch   []string
	prints  string // of the files in watch, as they were read
	refused string // why the last run failed, "" when it did not
	absent  bool   // there is no Postfix here, nor was there one
	due     int64
}

const (
	everyPostfix = 600 // seconds between two runs of postconf while its files stay the same
	everyHost    = 30  // seconds between two looks at everything else of the host
)

// look runs postconf when it is due or when a file that was read has changed.
func (p *postfix) look(ctx context.Context, now int64, all bool) (part, error) {
	if prints := p.o.prints(p.watch); all || now >= p.due || prints != p.prints {
		pt, watch, err := p.ask(ctx)
		if ctx.Err() != nil {
			return part{}, ctx.Err()
		}
		if p.asked == 0 {
			p.asked = now
		}
		p.absent = errors.Is(err, exec.ErrNotFound) && !p.good // a package upgrade takes it away for a moment
		switch {
		case p.absent:
			p.due = now + everyPostfix
		case err != nil:
			p.refused, p.due = err.Error(), now+everyHost
		default:
			p.last, p.good, p.refused, p.due = pt, true, "", now+everyPostfix
			p.watch = watch
		}
		p.prints = p.o.prints(p.watch)
	}
	pt := part{
		entries:  slices.Clone(p.last.entries),
		uses:     slices.Clone(p.last.uses),
		problems: slices.Clone(p.last.problems),
		sources:  []Source{{Name: "postfix", Entries: len(p.last.entries)}},
	}
	switch {
	case p.absent:
		pt.sources[0].Text = "no postconf on this host"
	case p.refused == "":
	case p.good:
		pt.problem(Alarm, "postfix", "%s: what it said before stays in force", p.refused)
	case now < p.asked+grace:
		pt.problem(NoWidening, "postfix", "%s: no wider bans until %s", p.refused, stamp(p.asked+grace))
	default:
		pt.problem(Alarm, "postfix", "%s: its networks are not on the allowlist; list them in allow.networks", p.refused)
	}
	return pt, nil
}

// ask runs postconf for each instance and gives the files it depends on.
func (p *postfix) ask(ctx context.Context) (part, []string, error) {
	var pt part
	def, err := p.params(ctx, "")
	if err != nil {
		return pt, nil, err
	}
	watch := p.instance(def, "", &pt)
	out, err := p.o.Run(ctx, "postmulti", "-l")
	if err != nil {
		return pt, watch, nil // the default instance is what there is
	}
	for _, dir := range instanceFolders(out) {
		if dir == def["config_directory"] {
			continue
		}
		params, err := p.params(ctx, dir)
		if err != nil {
			pt.problem(Alarm, "postfix", "instance %s: %v: list its networks in allow.networks", dir, err)
			continue
		}
		watch = append(watch, p.instance(params, dir, &pt)...)
	}
	return pt, watch, nil
}

// instanceFolders finds the configuration folders in what `postmulti -l` prints:
// name, group, enabled, folder.
func instanceFolders(out []byte) []string {
	var dirs []string
	for line := range bytes.Lines(out) {
		f := bytes.Fields(line)
		if len(f) == 4 && f[3][0] == '/' && len(dirs) < maxInstances {
			dirs = append(dirs, string(f[3]))
		}
	}
	return dirs
}

// params gives the parameters of an instance with all $names expanded, and
// those that master.cf overrides as "service/type/name".
func (p *postfix) params(ctx context.Context, dir string) (map[string]string, error) {
	var args []string
	if dir != "" {
		args = []string{"-c", dir}
	}
	out, err := p.o.Run(ctx, "postconf", slices.Concat(args, []string{"-x"}, postNetworks, postSingles, postDomains)...)
	if err != nil {
		return nil, err
	}
	params := make(map[string]string)
	parseParams(out, params)
	if len(params) == 0 {
		return nil, errors.New("postconf: no parameter in its output")
	}
	// Before Postfix 2.11 there is no -P.
	if out, err = p.o.Run(ctx, "postconf", slices.Concat(args, []string{"-x", "-P"})...); err == nil {
		parseParams(out, params)
	}
	return params, nil
}

// parseParams reads "name = value" lines; the names that are not asked for are left out.
func parseParams(out []byte, params map[string]string) {
	for line := range bytes.Lines(out) {
		name, value, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), " =")
		base := name[strings.LastIndexByte(name, '/')+1:]
		if ok && (base == name || slices.Contains(postNetworks, base)) && len(params) < 4096 {
			params[name] = strings.TrimSpace(value)
		}
	}
}

// instance adds what an instance trusts and gives the files that say so.
func (p *postfix) instance(params map[string]string, dir string, pt *part) (watch []string) {
	of := ""
	if dir != "" {
		of = " of " + dir
	}
	if d := params["config_directory"]; strings.HasPrefix(d, "/") {
		watch = append(watch, filepath.Join(d, "main.cf"), filepath.Join(d, "master.cf"))
	}
	read := func(path string) ([]byte, error) { return p.o.read(path, maxPostFile) }
	for _, name := range sortedKeys(params) {
		service, base := "", name
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			service, base = " of "+cut(name[:i]), name[i+1:]
		}
		if !slices.Contains(postNetworks, base) {
			continue
		}
		l := parsePostList(withoutWords(base, params[name]), read)
		p.networks(l, base+service+of, pt)
		watch = append(watch, l.files...)
	}
	if r := params["relayhost"]; r != "" {
		relayhost(r, "relayhost"+of, pt)
	}
	return append(watch, p.exchangers(params, of, read, pt)...)
}

// withoutWords drops the words of inet_interfaces that are no addresses.
func withoutWords(param, value string) string {
	if param == "inet_interfaces" && (value == "all" || value == "loopback-only") {
		return ""
	}
	return value
}

func (p *postfix) networks(l *postList, origin string, pt *part) {
	for _, n := range l.nets {
		e := Entry{Prefix: n.prefix, Kind: Postfix, Origin: origin}
		if n.at != "" {
			e.Origin += " (" + n.at + ")"
		}
		if inside(e.Prefix, prefix.Special()) {
			continue // 127.0.0.0/8 and the like: nobody can ban them anyway
		}
		pt.entries = append(pt.entries, e)
	}
	for _, name := range l.names {
		pt.uses = append(pt.uses, use{name: name, kind: Postfix, origin: origin + ": " + name})
	}
	for _, note := range l.notes {
		pt.problem(Note, origin, "%s", note)
	}
}

// relayhost reads [host], [host]:port, domain, domain:port. A domain stands for
// its mail exchangers, as it does for Postfix.
func relayhost(value, origin string, pt *part) {
	for host := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		exact := false
		if strings.HasPrefix(host, "[") {
			var closed bool
			if host, _, closed = strings.Cut(host[1:], "]"); !closed {
				pt.problem(Note, origin, "%q is not understood", cut(value))
				return
			}
			host, exact = strings.TrimPrefix(strings.ToLower(host), "ipv6:"), true
		} else if _, err := netip.ParseAddr(host); err != nil {
			host, _, _ = strings.Cut(host, ":")
		}
		host = strings.ToLower(strings.TrimSuffix(host, "."))
		if a, err := netip.ParseAddr(host); err == nil {
			pt.host(Postfix, a, origin)
			continue
		}
		if !validName(host) {
			pt.problem(Note, origin, "%q is not understood", cut(value))
			continue
		}
		pt.uses = append(pt.uses, use{name: host, mx: !exact, host: !exact, kind: Postfix, origin: origin, strict: true})
	}
}

// exchangers asks for the mail exchangers of the domains that Postfix takes mail
// for: a backup MX hands us everything it was sent, unknown recipients and all,
// and looks like an attacker while it does.
func (p *postfix) exchangers(params map[string]string, of string, read func(string) ([]byte, error), pt *part) (watch []string) {
	var domains []string
	add := func(name string) {
		if local(name) || name == params["myhostname"] || slices.Contains(domains, name) {
			return
		}
		domains = append(domains, name)
	}
	add(strings.ToLower(params["mydomain"]))
	for _, param := range postDomains {
		l := parsePostDomains(params[param], read)
		for _, name := range l.names {
			add(name)
		}
		watch = append(watch, l.files...)
	}
	if len(domains) > maxDomains {
		pt.problem(Note, "postfix"+of, "mail exchangers are looked up of the first %d of %d domains: list other backup MXs in allow.names", maxDomains, len(domains))
		domains = domains[:maxDomains]
	}
	for _, d := range domains {
		pt.uses = append(pt.uses, use{name: d, mx: true, own: params["myhostname"], kind: Postfix, origin: "mx of " + d})
	}
	return watch
}

// local knows names that no other host can be asked about: single labels and
// the domains of RFC 2606, RFC 6762 and RFC 8375.
func local(name string) bool {
	if !validName(name) || !strings.Contains(name, ".") {
		return true
	}
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "localdomain", "localhost", "local", "internal", "invalid", "arpa":
		return true
	}
	return false
}
