package maillog

import "bytes"

// postscreen reads a message of postscreen(8); a client is "[ADDR]:PORT".
func postscreen(m []byte, ev *Event) Kind {
	switch m[0] {
	case 'C':
		if b, ok := cut(m, "CONNECT from "); ok {
			b, ok = psAddr(b, ev)
			if ok && (len(b) == 0 || has(b, " to [")) {
				return PostscreenConnect
			}
			return KindUnknown
		}
		if b, ok := cut(m, "COMMAND "); ok {
			return psCommand(b, ev)
		}
	case 'P':
		if b, ok := cut(m, "PASS "); ok {
			if b, ok := cut(b, "OLD "); ok {
				return psClient(b, "", PostscreenPassOld, ev)
			}
			if b, ok := cut(b, "NEW "); ok {
				return psClient(b, "", PostscreenPassNew, ev)
			}
		}
		if b, ok := cut(m, "PREGREET "); ok {
			return psAfter(b, ":", PostscreenPregreet, ev)
		}
	case 'D':
		if b, ok := cut(m, "DISCONNECT "); ok {
			return psClient(b, "", PostscreenDisconnect, ev)
		}
		if b, ok := cut(m, "DNSBL rank "); ok {
			if _, b, ok = number(b); ok {
				if b, ok = cut(b, " for "); ok {
					return psClient(b, "", PostscreenDNSBL, ev)
				}
			}
			return KindUnknown
		}
		if b, ok := cut(m, "DENYLISTED "); ok {
			return psClient(b, "", PostscreenDenylisted, ev)
		}
		if b, ok := cut(m, "DATA without valid RCPT from "); ok {
			return psClient(b, "", PostscreenDataNoRcpt, ev)
		}
	case 'H':
		if b, ok := cut(m, "HANGUP "); ok {
			return psAfter(b, " in tests ", PostscreenHangup, ev)
		}
	case 'N':
		if b, ok := cut(m, "NOQUEUE: reject: "); ok {
			return psReject(b, ev)
		}
		if b, ok := cut(m, "NON-SMTP COMMAND from "); ok {
			return psClient(b, " ", PostscreenNonSMTP, ev)
		}
	case 'B':
		if b, ok := cut(m, "BARE NEWLINE from "); ok {
			b, ok = psAddr(b, ev)
			if ok && (len(b) == 0 || b[0] == ' ') {
				return PostscreenBareNewline
			}
			return KindUnknown
		}
		if b, ok := cut(m, "BLACKLISTED "); ok {
			return psClient(b, "", PostscreenDenylisted, ev)
		}
		if b, ok := cut(m, "BDAT without valid RCPT from "); ok {
			return psClient(b, "", PostscreenDataNoRcpt, ev)
		}
	case 'A', 'W':
		if b, ok := psListed(m); ok {
			if b, ok := cut(b, "ED "); ok {
				return psClient(b, "", PostscreenAllowlisted, ev)
			}
			if b, ok := cut(b, " VETO "); ok {
				return psClient(b, "", PostscreenVeto, ev)
			}
		}
	case 'r':
		if b, ok := cut(m, "reject: connect from "); ok {
			ev.Stage, ev.Reason = StageConnect, PortsBusy
			return psClient(b, ": all ", PostscreenReject, ev)
		}
	}
	if psQuiet(m) {
		return KindNone
	}
	return KindUnknown
}

func psListed(m []byte) ([]byte, bool) {
	if b, ok := cut(m, "ALLOWLIST"); ok {
		return b, ok
	}
	return cut(m, "WHITELIST")
}

// psClient is [client] for postscreen.
func psClient(b []byte, next string, k Kind, ev *Event) Kind {
	b, ok := psAddr(b, ev)
	if !ok || !has(b, next) || next == "" && len(b) > 0 {
		return KindUnknown
	}
	return k
}

// psAfter reads "[N ]after SECS from PSADDR".
func psAfter(b []byte, next string, k Kind, ev *Event) Kind {
	if _, rest, ok := number(b); ok {
		if b, ok = cut(rest, " "); !ok {
			return KindUnknown
		}
	}
	b, ok := cut(b, "after ")
	if !ok {
		return KindUnknown
	}
	i := 0
	for i < len(b) && (b[i]-'0' <= 9 || b[i] == '.') {
		i++
	}
	if b, ok = cut(b[i:], " from "); !ok || i == 0 {
		return KindUnknown
	}
	return psClient(b, next, k, ev)
}

// psCommand reads "PIPELINING from PSADDR after CMD: TEXT" and the limits.
func psCommand(b []byte, ev *Event) Kind {
	name, b := until(b, " from ")
	var k Kind
	switch string(name) {
	case "PIPELINING":
		k = PostscreenPipelining
	case "TIME LIMIT":
		k = PostscreenCmdTime
	case "LENGTH LIMIT":
		k = PostscreenCmdLength
	case "COUNT LIMIT":
		k = PostscreenCmdCount
	default:
		return KindUnknown
	}
	b, ok := cut(b, " from ")
	if !ok {
		return KindUnknown
	}
	if b, ok = psAddr(b, ev); !ok {
		return KindUnknown
	}
	if len(b) == 0 { // 2.8, 2.9
		return k
	}
	if b, ok = cut(b, " after "); !ok {
		return KindUnknown
	}
	where(b, ev)
	return k
}

// psReject reads "RCPT from PSADDR: CODE DSN text; from=<S>, to=<R>, ..." and
// "CONNECT from PSADDR: too many connections".
func psReject(b []byte, ev *Event) Kind {
	b, ok := where(b, ev)
	if !ok {
		return KindUnknown
	}
	if b, ok = cut(b, " from "); !ok {
		return KindUnknown
	}
	if b, ok = psAddr(b, ev); !ok {
		return KindUnknown
	}
	if b, ok = cut(b, ": "); !ok {
		return KindUnknown
	}
	t := reply(b, ev)
	switch {
	case has(t, "too many connections"):
		ev.Reason = TooManyConnections
	case has(t, "all "):
		ev.Reason = PortsBusy
	case has(t, "Service currently unavailable"):
		ev.Reason = ServiceUnavailable
	case has(t, "Protocol error"):
		ev.Reason = ProtocolError
	case has(t, "Service unavailable; ") && bytes.Contains(t, []byte(" blocked using ")):
		ev.Reason = RBL
	default:
		ev.Reason = OtherReason
	}
	if bytes.IndexByte(t, ';') >= 0 {
		commaFields(b, ev)
	}
	return PostscreenReject
}

// psQuiet is [smtpdQuiet] for postscreen.
func psQuiet(m []byte) bool {
	for _, p := range [...]string{
		"warning: ", "error: ", "fatal: ", "panic: ", "cache ", "entering STRESS mode",
		"leaving STRESS mode", "PENALTY ", "skip ", "statistics: ", "table ", "initializing ",
		"psc_", "ps_", "> ", "< ", "dict_", "event_", "send attr ", "input attribute ", "name_mask: ",
		"auto_clnt_", "private/", "public/", "flush ", "reload", "match_", "mynetworks: ", "[",
		"close ", "delete ", "dnsbl ", "read ", "write ", "wanted attribute: ", "restarting",
		"using backwards-compatible default setting", "discarding EHLO keywords", "daemon started",
	} {
		if has(m, p) {
			return true
		}
	}
	return false
}
