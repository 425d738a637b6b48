package maillog

import "bytes"

// where reads WHERE, the SMTP command that smtpd names, with its " (N bytes)".
// A word of capitals that is not known is accepted as no stage: Postfix wrote
// it.
func where(b []byte, ev *Event) (rest []byte, ok bool) {
	if has(b, "RCPT ") { // nearly all
		ev.Stage = StageRcpt
		return b[len("RCPT"):], true
	}
	i := 0
	for i < len(b) && (b[i] >= 'A' && b[i] <= 'Z' || b[i] == '-') {
		i++
	}
	if i == 0 {
		return b, false
	}
	ev.Stage = stageOf(b[:i])
	rest = b[i:]
	if len(rest) > 2 && rest[0] == ' ' && rest[1] != 'f' {
		if r, ok := cut(rest, " content"); ok {
			switch ev.Stage {
			case StageData:
				ev.Stage, rest = StageDataContent, r
			case StageBdat:
				ev.Stage, rest = StageBdatContent, r
			}
		}
		if r, ok := cut(rest, " ("); ok {
			if _, r, ok = number(r); ok {
				if r, ok = cut(r, " bytes)"); ok {
					rest = r
				}
			}
		}
	}
	return rest, true
}

func stageOf(w []byte) Stage {
	switch string(w) {
	case "RCPT":
		return StageRcpt
	case "CONNECT":
		return StageConnect
	case "HELO":
		return StageHelo
	case "EHLO":
		return StageEhlo
	case "STARTTLS":
		return StageStarttls
	case "AUTH":
		return StageAuth
	case "MAIL":
		return StageMail
	case "DATA":
		return StageData
	case "BDAT":
		return StageBdat
	case "RSET":
		return StageRset
	case "NOOP":
		return StageNoop
	case "VRFY":
		return StageVrfy
	case "ETRN":
		return StageEtrn
	case "QUIT":
		return StageQuit
	case "XCLIENT":
		return StageXclient
	case "XFORWARD":
		return StageXforward
	case "HELP":
		return StageHelp
	case "UNKNOWN":
		return StageUnknown
	case "END-OF-MESSAGE":
		return StageEndOfMessage
	}
	return NoStage
}

// until splits b in front of the first sep; rest begins with it, and is nil
// when there is none.
func until(b []byte, sep string) (head, rest []byte) {
	for i := 0; ; i++ {
		n := bytes.IndexByte(b[i:], sep[0])
		if n < 0 {
			return b, nil
		}
		if i += n; has(b[i:], sep) {
			return b[:i], b[i:]
		}
	}
}
