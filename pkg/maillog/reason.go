package maillog

import "bytes"

// rejectReason classifies the text of a reject behind its codes.
//
// The words that decide are Postfix's, but in "<OBJECT>: CLASS rejected: WHY"
// they stand behind the name of what was refused, and that is raw text of the
// client (at most stages; a local part such as "x>: Recipient address
// rejected: Greylisted" is legal), while WHY can quote the reply of a remote
// server with words of the same kind. So neither the first nor the last ">: "
// can be trusted. The end of OBJECT is taken where the from=, to= or helo=
// field has the same text or where there is only one ">: " at all; else the
// enhanced status code decides, which no client can move.
func rejectReason(t []byte, ev *Event) Reason {
	if len(t) == 0 || t[0] != '<' {
		return bareReason(t)
	}
	n := sameObject(t, ev.Text(Recipient))
	if n == 0 {
		n = sameObject(t, ev.Text(Sender))
	}
	if n == 0 {
		n = sameObject(t, ev.Text(Helo))
	}
	if n == 0 || !has(t[n:], ": ") {
		n = bytes.Index(t, []byte(">: ")) + 1
		if n == 0 || bytes.Contains(t[n:], []byte(">: ")) {
			return statusReason(ev)
		}
	}
	if r := objectReason(t[n+2:]); r != NoReason {
		return r
	}
	return statusReason(ev)
}

// sameObject is the length of "<OBJECT>" at the start of t when OBJECT is the
// unquoted form of the field v, else 0.
func sameObject(t, v []byte) int {
	if len(v) == 0 || len(t) == 0 || t[0] != '<' {
		return 0
	}
	if v[0] != '"' {
		if n := len(v) + 1; n < len(t) && t[n] == '>' && bytes.Equal(t[1:n], v) {
			return n + 1
		}
		return 0
	}
	i, quoted := 1, true
	for k := 0; k < len(v); k++ {
		c := v[k]
		if quoted && c == '"' {
			quoted = k == 0
			continue
		}
		if quoted && c == '\\' && k+1 < len(v) {
			k++
			c = v[k]
		}
		if i >= len(t) || t[i] != c {
			return 0
		}
		i++
	}
	if i >= len(t) || t[i] != '>' {
		return 0
	}
	return i + 1
}

// bareReason classifies a text that names no object.
func bareReason(t []byte) Reason {
	if b, ok := cut(t, "Service unavailable; "); ok {
		if bytes.Contains(b, []byte(" blocked using ")) {
			return RBL
		}
		return OtherReason
	}
	if why, ok := cut(t, "Client host rejected: "); ok {
		return clientReason(why)
	}
	for _, r := range bareReasons {
		if has(t, r.text) {
			return r.reason
		}
	}
	// "421 4.3.0 mx.example.net Server local data error"
	if _, b := word(t); has(b, "Server local data error") || has(b, "Server shutting down") {
		return Resources
	}
	return OtherReason
}

var bareReasons = [...]struct {
	text   string
	reason Reason
}{
	{"Message size exceeds fixed limit", Size},
	{"Insufficient system storage", Resources},
	{"Temporary lookup ", Resources},
	{"Server configuration ", Resources},
	{"Error: queue file write error", Resources},
	{"Error: insufficient system storage", Resources},
	{"Session encryption is required", TLSRequired},
	{"Improper use of SMTP command pipelining", Pipelining},
	{"Multi-recipient bounce", BounceMulti},
	{"Greylist", Greylist},
}

// objectReason classifies what follows "<OBJECT>: ".
func objectReason(t []byte) Reason {
	if len(t) == 0 {
		return NoReason
	}
	switch t[0] {
	case 'R':
		if why, ok := cut(t, "Recipient address rejected: "); ok {
			return rcptReason(why)
		}
		if has(t, "Relay access denied") {
			return RelayDenied
		}
	case 'S':
		if why, ok := cut(t, "Sender address rejected: "); ok {
			return senderReason(why)
		}
	case 'C':
		if why, ok := cut(t, "Client host rejected: "); ok {
			return clientReason(why)
		}
	case 'H':
		if why, ok := cut(t, "Helo command rejected: "); ok {
			return heloReason(why)
		}
	}
	switch {
	case has(t, "User unknown"): // 2.0
		return RcptUnknown
	case has(t, "Temporary lookup "), has(t, "Server configuration "):
		return Resources
	}
	i := bytes.Index(t[:min(len(t), 48)], []byte(" rejected: ")) // "Data command", "End-of-data", ...
	if i <= 0 {
		return NoReason
	}
	return anyReason(t[i+len(" rejected: "):])
}

func rcptReason(why []byte) Reason {
	switch {
	case len(why) >= 12 && string(why[:12]) == "User unknown": // most
		return RcptUnknown
	case has(why, "undeliverable address"), has(why, "unverified address"):
		return RcptUndeliverable
	case domainReason(why), has(why, "need fully-qualified address"):
		return RcptDomain
	}
	return anyReason(why)
}

func senderReason(why []byte) Reason {
	switch {
	case has(why, "User unknown"):
		return SenderUnknown
	case has(why, "undeliverable address"), has(why, "unverified address"):
		return SenderVerify
	case domainReason(why), has(why, "need fully-qualified address"):
		return SenderDomain
	case has(why, "not logged in"), has(why, "not owned by "):
		return SenderLogin
	}
	return anyReason(why)
}

func heloReason(why []byte) Reason {
	switch {
	case has(why, "Invalid name"), has(why, "invalid ip address"), has(why, "need fully-qualified hostname"):
		return HeloInvalid
	case has(why, "Host not found"), has(why, "Malformed DNS server reply"):
		return HeloUnknown
	}
	return anyReason(why)
}

func clientReason(why []byte) Reason {
	if has(why, "cannot find your ") {
		return ClientNoHost
	}
	return anyReason(why)
}

// domainReason covers the answers of the DNS about a mail domain.
func domainReason(why []byte) bool {
	if has(why, "Domain not found") || has(why, "Malformed DNS server reply") {
		return true
	}
	b, ok := cut(why, "Domain ")
	_, b = word(b)
	return ok && has(b, "does not accept mail")
}

// anyReason classifies what can follow any class; the text of an access table
// or a policy server is local policy.
func anyReason(why []byte) Reason {
	switch {
	case has(why, "Improper use of SMTP command pipelining"):
		return Pipelining
	case has(why, "Multi-recipient bounce"):
		return BounceMulti
	case has(why, "Greylist"), has(why, "greylist"), has(why, "Graylist"):
		return Greylist
	case has(why, "Try again later"), has(why, "Temporary lookup "), has(why, "Server configuration "):
		return Resources
	case has(why, "Unable to verify host"), has(why, "Unable to look up "):
		return MXBackup
	case has(why, "Session encryption is required"):
		return TLSRequired
	}
	return Access
}

// statusReason classifies by the enhanced status code alone.
func statusReason(ev *Event) Reason {
	dsn := ev.Text(DSN)
	if len(dsn) < 4 {
		return OtherReason
	}
	switch string(dsn[2:]) {
	case "1.1":
		return RcptUnknown
	case "1.2", "1.10":
		return RcptDomain
	case "1.8", "7.27":
		return SenderDomain
	case "1.0":
		return SenderUnknown
	case "1.7":
		return SenderVerify
	case "7.25":
		return ClientNoHost
	case "2.0":
		return Greylist
	case "4.4":
		return MXBackup
	}
	return OtherReason
}

// milterReason classifies the text of a milter: greylisting is told apart
// because it is no sign of abuse.
func milterReason(t []byte, ev *Event) Reason {
	if ev.Code/100 != 5 && (has(t, "Greylist") || has(t, "greylist")) {
		return Greylist
	}
	return MilterText
}
