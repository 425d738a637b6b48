package maillog

import "bytes"

// tagService names the service of an smtpd by its tag: what the syslog_name
// of master.cf has between the first and the last slash, as in
// "postfix/submission/smtpd", else "smtp" (the first four letters of
// "smtpd").
func tagService(tag []byte) []byte {
	if string(tag) == "postfix/smtpd" { // most lines
		return tag[len("postfix/"):len("postfix/smtp")]
	}
	i := 0
	for i < len(tag) && tag[i] != '/' {
		i++
	}
	j := len(tag) - len("/smtpd")
	if i < j {
		return tag[i+1 : j]
	}
	return tag[j+1 : j+1+len("smtp")]
}

// doorOf is Login for the submission services, by name or port, and for all
// of Dovecot; anything else listens on port 25 as far as anybody can tell.
func doorOf(e *Event) Door {
	switch e.Kind {
	case DovecotAuthFail, DovecotLoginFail, DovecotLoginOK, DovecotNoAuth:
		return Login
	}
	if loginService(e.Text(Service)) {
		return Login
	}
	if tag := e.Text(Tag); programOf(tag) == smtpdProgram && loginService(tagService(tag)) {
		return Login // a limit line names the service of master.cf instead
	}
	return SMTP
}

func loginService(s []byte) bool {
	if i := bytes.LastIndexByte(s, ':'); i >= 0 { // "192.0.2.25:587"
		s = s[i+1:]
	}
	if has(s, "submission") || has(s, "smtps") {
		return true
	}
	switch string(s) {
	case "465", "587", "imap", "pop3", "sieve":
		return true
	}
	return false
}
