package maillog

import (
	"bytes"
	"math/bits"
	"net/netip"
)

// maxAuthLine bounds the messages of Dovecot's auth process that a client is
// taken from. It stands at the end there, behind a user name of the client's
// choice; a line that a syslog daemon may have cut (at 480 bytes at the
// earliest, RFC 5424 section 6.1) could end with whatever the name holds.
const maxAuthLine = 400

// dovecot reads a message of Dovecot: "PROCESS: MSG" or "PROCESS: Info: MSG".
func dovecot(m []byte, ev *Event) Kind {
	if has(m, "imap-login: Login: user=<") { // most
		b := m[len("imap-login: "):]
		if k := login(b, b[:len("Login: ")], DovecotLoginOK, ev); k != KindUnknown {
			ev.set(Service, m[:len("imap")])
			return k
		}
	}
	process, b := until(m[:min(len(m), 64)], ": ")
	if b == nil {
		return KindNone
	}
	b = m[len(process)+2:]
	b, _ = cut(b, "Info: ")
	switch string(process) {
	case "imap-login", "pop3-login":
		ev.set(Service, process[:4])
	case "submission-login":
		ev.set(Service, process[:len("submission")])
	case "managesieve-login":
		ev.set(Service, process[len("manage"):len("managesieve")])
	default:
		if has(process, "auth") && (len(process) == 4 || has(process, "auth-worker")) {
			return orNone(dovecotAuth(b, ev))
		}
		return KindNone
	}
	if k := dovecotLogin(b, ev); k != KindUnknown {
		return k
	}
	for _, p := range [...]string{
		"Error: ", "Warning: ", "Fatal: ", "Panic: ", "Debug: ", "proxy(", "ID sent: ",
		"Maximum number of connections ", "Login process ", "Logging to ", "Generating ", "SSL ",
		"login: ", "Greeting ", "master(", "killed", "Process ", "Too many open ", "haproxy",
		"Authenticate ", "APOP failed: ", // of one AUTH; the end of the connection follows
	} {
		if has(b, p) {
			return KindNone
		}
	}
	return KindUnknown
}

// dovecotLogin reads "Login: user=<U>, method=M, rip=ADDR, lip=ADDR, ..." and
// the ends of connections that never logged in, "Disconnected: REASON (auth
// failed, N attempts in S secs): user=<U>, ...". U can hold any text, so the
// last ", rip=" counts, and only with ", lip=" behind its address.
func dovecotLogin(b []byte, ev *Event) Kind {
	reason, rest := until(b, "user=<")
	if rest == nil { // Dovecot 1.x left an empty user out
		if reason, rest = until(b, "rip="); rest == nil {
			return KindUnknown
		}
	}
	k := loginKind(reason)
	if k <= KindUnknown {
		return k
	}
	return login(b, reason, k, ev)
}

// login reads a line of kind k that begins with reason.
func login(b, reason []byte, k Kind, ev *Event) Kind {
	i := lastRip(b)
	if i < len(reason) {
		if !has(b[len(reason):], "rip=") {
			return KindUnknown
		}
		i = len(reason) - len(", ")
	}
	a, ok := remote(b, i+len(", rip="))
	if !ok {
		return KindUnknown
	}
	ev.Client = a
	if user, ok := cut(b[len(reason):max(i, len(reason))], "user=<"); ok && !loginUser(user, ev) {
		return KindUnknown
	}
	switch k {
	case DovecotLoginFail:
		ev.Reason = AuthCredentials
	case DovecotLoginOK, DovecotNoAuth:
	}
	return k
}

// remote reads "ADDR, lip=ADDR" at b[i:], and returns the first address.
func remote(b []byte, i int) (a netip.Addr, ok bool) {
	if v, n := quad(b, i, ','); n > 0 && has(b[i+n:], ", lip=") { // most
		if _, m := quad(b, i+n+len(", lip="), ','); m > 0 {
			return addr4(v), true
		}
	}
	addr, lip := until(b[i:], ", ")
	if lip, ok = cut(lip, ", lip="); !ok {
		return a, false
	}
	lip, _ = until(lip, ",")
	if _, ok = parseAddr(lip); !ok {
		return a, false
	}
	return parseAddr(addr)
}

// lastRip is the index of the last ", rip=", or -1.
func lastRip(b []byte) int {
	end := len(b)
	for ; end >= 8; end -= 8 {
		for m := equal(load(b, end-8), '='); m != 0; {
			top := 63 - bits.LeadingZeros64(m)
			if i := end - 8 + top>>3; isRip(b, i) {
				return i - len(", rip")
			}
			m &^= 1 << top
		}
	}
	for i := end - 1; i >= 0; i-- {
		if b[i] == '=' && isRip(b, i) {
			return i - len(", rip")
		}
	}
	return -1
}

// isRip reports whether ", rip" stands in front of b[i].
func isRip(b []byte, i int) bool {
	return i >= len(", rip") && string(b[i-len(", rip"):i]) == ", rip"
}

// loginKind classifies the text in front of "user=<", which is Dovecot's own.
func loginKind(reason []byte) Kind {
	switch string(reason) {
	case "Login: ", "Logged in: ": // 2.4
		return DovecotLoginOK
	}
	if !has(reason, "Disconnected") && !has(reason, "Aborted login") && !has(reason, "Login aborted: ") ||
		!ends(reason, ": ") {
		return KindUnknown
	}
	for _, f := range [...]struct {
		text string
		kind Kind
	}{
		{"(auth failed, ", DovecotLoginFail},
		{" authentication attempts)", DovecotLoginFail}, // 1.x
		{"(no auth attempts", DovecotNoAuth},
		{"(tried to use disa", DovecotNoAuth}, // plaintext without TLS
		{"(disconnected ", DovecotNoAuth},
		{"(client didn't finish SASL auth", DovecotNoAuth},
		{"(cert required", DovecotNoAuth},
		{"(client didn't send a cert", DovecotNoAuth},
		{"(auth process ", KindNone}, // our own fault
		{"(internal failure", KindNone},
		{"Shutting down", KindNone},
	} {
		if bytes.Contains(reason, []byte(f.text)) {
			return f.kind
		}
	}
	return KindNone // ended for another reason: nothing to learn
}

// loginUser reads "U>, method=M" or "U>"; a line that was cut inside U has
// neither.
func loginUser(b []byte, ev *Event) bool {
	if i := bytes.LastIndexByte(b, ','); i > 0 && b[i-1] == '>' && has(b[i:], ", method=") {
		if m := b[i+len(", method="):]; mechanism(m) {
			ev.set(SASLMethod, m)
			b = b[:i]
		}
	}
	if !ends(b, ">") {
		return false
	}
	if len(b) > 1 {
		ev.set(SASLUser, b[:len(b)-1])
	}
	return true
}

// dovecotAuth reads "DRIVER(USER,ADDR[,<SESSION>]): WHY" of the auth process.
// These lines never count (the login line that follows does); the client is
// taken from the last group in front of a known WHY at the end of the line,
// or, when a mechanism refused the name before it was looked up, right behind
// the "?" that stands in its place.
func dovecotAuth(b []byte, ev *Event) Kind {
	if len(b) > maxAuthLine {
		return KindNone
	}
	if rest, ok := cut(b, "conn unix:auth-worker ("); ok { // 2.3 workers
		if _, rest = until(rest, "): auth-worker<"); rest == nil {
			return KindNone
		}
		if _, rest = until(rest, ">: "); rest == nil {
			return KindNone
		}
		b = rest[len(">: "):]
	}
	driver, b := until(b, "(")
	if mechanismDriver(driver) {
		b, ok := cut(b, "(?,")
		if !ok {
			return KindNone
		}
		group, why := until(b, "): ")
		if (has(why, "): Username ") || has(why, "): Empty username")) && authGroup(group, ev) {
			return DovecotAuthFail
		}
		return KindNone
	}
	if b == nil || !passwordDriver(driver) {
		return KindNone
	}
	b = b[1:]
	for _, why := range [...]string{
		"): unknown user", "): Password mismatch", "): password mismatch", "): invalid credentials",
		"): Unknown user", "): Invalid credentials",
		"): pam_authenticate() failed: Authentication failure (password mismatch?)",
		"): pam_authenticate() failed: Authentication failure (Password mismatch?)",
		"): pam_authenticate() failed: User not known to the underlying authentication module",
	} {
		if !ends(b, why) {
			continue
		}
		b = b[:len(b)-len(why)]
		if i := lastGroup(b); i > 0 && authGroup(b[i+1:], ev) {
			ev.set(SASLUser, b[:i])
			ev.Reason = AuthCredentials
			return DovecotAuthFail
		}
		break
	}
	return KindNone
}

// lastGroup is the index of the comma in front of "ADDR" or "ADDR,<SESSION>"
// at the end of b, or -1.
func lastGroup(b []byte) int {
	if ends(b, ">") {
		i := bytes.LastIndex(b, []byte(",<"))
		if i < 0 {
			return -1
		}
		b = b[:i]
	}
	return bytes.LastIndexByte(b, ',')
}

// authGroup reads "ADDR" or "ADDR,<SESSION>".
func authGroup(b []byte, ev *Event) bool {
	addr, session := until(b, ",")
	if session != nil && (!has(session, ",<") || !ends(session, ">")) {
		return false
	}
	a, ok := parseAddr(addr)
	ev.Client = a
	return ok
}

func passwordDriver(b []byte) bool {
	switch string(b) {
	case "passwd-file", "passwd", "sql", "ldap", "pam", "static", "shadow", "bsdauth", "vpopmail",
		"checkpassword", "dict", "lua", "oauth2", "imap":
		return true
	}
	return false
}

func mechanismDriver(b []byte) bool {
	switch string(b) {
	case "plain", "login", "PLAIN", "LOGIN", "cram-md5", "digest-md5", "apop", "ntlm", "otp",
		"scram-sha-1", "scram-sha-256", "xoauth2", "oauthbearer", "external", "gssapi":
		return true
	}
	return false
}
