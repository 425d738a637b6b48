package maillog

// A Kind says what a line reports: "program.kind", see the package's corpus.
type Kind uint8

// KindNone is a line of no interest; KindNoTime is one too, for it begins with
// no time that is read here (an empty line is KindNone); KindUnknown is a line
// of a program that postmoat has a grammar for and that no form of the grammar
// matches; KindRepeat is "last message repeated N times"; KindActive is qmgr's
// "queue active", of interest to the Joiner only.
const (
	KindNone Kind = iota
	KindNoTime
	KindUnknown
	KindRepeat
	KindActive

	SMTPDConnect
	SMTPDConnectUnknown
	SMTPDDisconnect
	SMTPDQueued
	SMTPDQueuedAuth
	SMTPDLostConnection
	SMTPDTimeout
	SMTPDTooManyErrors
	SMTPDBareLF
	SMTPDReject
	SMTPDRejectWarning
	SMTPDHold
	SMTPDDiscard
	SMTPDRedirect
	SMTPDFilter
	SMTPDBcc
	SMTPDDelay
	SMTPDInfo
	SMTPDWarn
	SMTPDHangup
	SMTPDPermit
	SMTPDMilterReject
	SMTPDMilterHold
	SMTPDMilterDiscard
	SMTPDETRNDenied
	SMTPDProxyReject
	SMTPDSASLFail
	SMTPDSASLAborted
	SMTPDPipelining
	SMTPDNonSMTP
	SMTPDBadAddress
	SMTPDLongRequest
	SMTPDBdat
	SMTPDCmdReplaced
	SMTPDLimitConcurrency
	SMTPDLimitConnRate
	SMTPDLimitMsgRate
	SMTPDLimitRcptRate
	SMTPDLimitTLSRate
	SMTPDLimitAuthRate
	SMTPDTLSRefused
	SMTPDPTRMismatch
	SMTPDNumericHostname
	SMTPDTLSAcceptError
	SMTPDTLSEstablished
	SMTPDTLSSNI
	SMTPDTLSAbort
	SMTPDTLSCert

	PostscreenConnect
	PostscreenPassNew
	PostscreenPassOld
	PostscreenAllowlisted
	PostscreenDenylisted
	PostscreenVeto
	PostscreenPregreet
	PostscreenDNSBL
	PostscreenHangup
	PostscreenPipelining
	PostscreenNonSMTP
	PostscreenBareNewline
	PostscreenCmdTime
	PostscreenCmdLength
	PostscreenCmdCount
	PostscreenDataNoRcpt
	PostscreenReject
	PostscreenDisconnect

	TLSProxyConnect
	TLSProxyDisconnect
	TLSProxyTLSEstablished
	TLSProxyTLSFail

	DNSBlogListed
	AnvilStat

	CleanupReject
	CleanupWarning
	CleanupInfo
	CleanupFilter
	CleanupPass
	CleanupDiscard
	CleanupHold
	CleanupDelay
	CleanupPrepend
	CleanupReplace
	CleanupRedirect
	CleanupBcc
	CleanupStrip
	CleanupMilterReject
	CleanupMilterHold
	CleanupMilterDiscard
	CleanupMilterHeader

	DovecotAuthFail
	DovecotLoginFail
	DovecotLoginOK
	DovecotNoAuth

	// KindCustom is what a rule with a pattern of its own makes of a line
	// that has no grammar here; Parse never returns it.
	KindCustom

	NumKinds
)

var kindNames = [NumKinds]string{
	KindNone: "none", KindNoTime: "none", KindUnknown: "unknown", KindRepeat: "repeat", KindActive: "active",

	SMTPDConnect: "smtpd.connect", SMTPDConnectUnknown: "smtpd.connect_unknown",
	SMTPDDisconnect: "smtpd.disconnect", SMTPDQueued: "smtpd.queued",
	SMTPDQueuedAuth: "smtpd.queued_auth", SMTPDLostConnection: "smtpd.lost_connection",
	SMTPDTimeout: "smtpd.timeout", SMTPDTooManyErrors: "smtpd.too_many_errors",
	SMTPDBareLF: "smtpd.bare_lf", SMTPDReject: "smtpd.reject",
	SMTPDRejectWarning: "smtpd.reject_warning", SMTPDHold: "smtpd.hold",
	SMTPDDiscard: "smtpd.discard", SMTPDRedirect: "smtpd.redirect",
	SMTPDFilter: "smtpd.filter", SMTPDBcc: "smtpd.bcc", SMTPDDelay: "smtpd.delay",
	SMTPDInfo: "smtpd.info", SMTPDWarn: "smtpd.warn", SMTPDHangup: "smtpd.hangup",
	SMTPDPermit: "smtpd.permit", SMTPDMilterReject: "smtpd.milter_reject",
	SMTPDMilterHold: "smtpd.milter_hold", SMTPDMilterDiscard: "smtpd.milter_discard",
	SMTPDETRNDenied: "smtpd.etrn_denied", SMTPDProxyReject: "smtpd.proxy_reject",
	SMTPDSASLFail: "smtpd.sasl_fail", SMTPDSASLAborted: "smtpd.sasl_aborted",
	SMTPDPipelining: "smtpd.pipelining", SMTPDNonSMTP: "smtpd.non_smtp",
	SMTPDBadAddress: "smtpd.bad_address", SMTPDLongRequest: "smtpd.long_request",
	SMTPDBdat: "smtpd.bdat", SMTPDCmdReplaced: "smtpd.cmd_replaced",
	SMTPDLimitConcurrency: "smtpd.limit_concurrency", SMTPDLimitConnRate: "smtpd.limit_conn_rate",
	SMTPDLimitMsgRate: "smtpd.limit_msg_rate", SMTPDLimitRcptRate: "smtpd.limit_rcpt_rate",
	SMTPDLimitTLSRate: "smtpd.limit_tls_rate", SMTPDLimitAuthRate: "smtpd.limit_auth_rate",
	SMTPDTLSRefused: "smtpd.tls_refused", SMTPDPTRMismatch: "smtpd.ptr_mismatch",
	SMTPDNumericHostname: "smtpd.numeric_hostname", SMTPDTLSAcceptError: "smtpd.tls_accept_error",
	SMTPDTLSEstablished: "smtpd.tls_established", SMTPDTLSSNI: "smtpd.tls_sni",
	SMTPDTLSAbort: "smtpd.tls_abort", SMTPDTLSCert: "smtpd.tls_cert",

	PostscreenConnect: "postscreen.connect", PostscreenPassNew: "postscreen.pass_new",
	PostscreenPassOld: "postscreen.pass_old", PostscreenAllowlisted: "postscreen.allowlisted",
	PostscreenDenylisted: "postscreen.denylisted", PostscreenVeto: "postscreen.veto",
	PostscreenPregreet: "postscreen.pregreet", PostscreenDNSBL: "postscreen.dnsbl",
	PostscreenHangup: "postscreen.hangup", PostscreenPipelining: "postscreen.pipelining",
	PostscreenNonSMTP: "postscreen.nonsmtp", PostscreenBareNewline: "postscreen.bare_newline",
	PostscreenCmdTime: "postscreen.cmd_time", PostscreenCmdLength: "postscreen.cmd_length",
	PostscreenCmdCount: "postscreen.cmd_count", PostscreenDataNoRcpt: "postscreen.data_no_rcpt",
	PostscreenReject: "postscreen.reject", PostscreenDisconnect: "postscreen.disconnect",

	TLSProxyConnect: "tlsproxy.connect", TLSProxyDisconnect: "tlsproxy.disconnect",
	TLSProxyTLSEstablished: "tlsproxy.tls_established", TLSProxyTLSFail: "tlsproxy.tls_fail",

	DNSBlogListed: "dnsblog.listed", AnvilStat: "anvil.stat",

	CleanupReject: "cleanup.reject", CleanupWarning: "cleanup.warning",
	CleanupInfo: "cleanup.info", CleanupFilter: "cleanup.filter", CleanupPass: "cleanup.pass",
	CleanupDiscard: "cleanup.discard", CleanupHold: "cleanup.hold", CleanupDelay: "cleanup.delay",
	CleanupPrepend: "cleanup.prepend", CleanupReplace: "cleanup.replace",
	CleanupRedirect: "cleanup.redirect", CleanupBcc: "cleanup.bcc", CleanupStrip: "cleanup.strip",
	CleanupMilterReject: "cleanup.milter_reject", CleanupMilterHold: "cleanup.milter_hold",
	CleanupMilterDiscard: "cleanup.milter_discard", CleanupMilterHeader: "cleanup.milter_header",

	DovecotAuthFail: "dovecot.auth_fail", DovecotLoginFail: "dovecot.login_fail",
	DovecotLoginOK: "dovecot.login_ok", DovecotNoAuth: "dovecot.no_auth",

	KindCustom: "custom",
}

func (k Kind) String() string {
	if k < NumKinds {
		return kindNames[k]
	}
	return "none"
}

// A Reason is the class of a reject or of an authentication failure.
type Reason uint8

// The reasons; the names are those of String.
const (
	NoReason Reason = iota
	RelayDenied
	RcptUnknown
	RcptUndeliverable
	RcptDomain
	SenderDomain
	SenderUnknown
	SenderVerify
	SenderLogin
	HeloInvalid
	HeloUnknown
	ClientNoHost
	RBL
	Access
	Greylist
	Pipelining
	BounceMulti
	Size
	Resources
	TLSRequired
	MXBackup
	BareLF
	ServiceUnavailable // postscreen's own "450 4.3.2 Service currently unavailable"
	ProtocolError      // postscreen's "550 5.5.1 Protocol error"
	TooManyConnections // postscreen's "too many connections" of one client
	PortsBusy          // postscreen's "all server ports busy", "all screening ports busy"
	MilterText         // text of a milter
	OtherReason        // a reject whose text is in no class

	AuthCredentials // wrong name or password, or no reason given
	AuthMechanism   // mechanism not known
	AuthProtocol    // malformed exchange, cancelled
	AuthBackend     // our own fault: connection to the SASL server lost, generic failure

	NumReasons
)

var reasonNames = [NumReasons]string{
	NoReason: "", RelayDenied: "relay_denied", RcptUnknown: "rcpt_unknown",
	RcptUndeliverable: "rcpt_undeliverable", RcptDomain: "rcpt_domain",
	SenderDomain: "sender_domain", SenderUnknown: "sender_unknown",
	SenderVerify: "sender_verify", SenderLogin: "sender_login",
	HeloInvalid: "helo_invalid", HeloUnknown: "helo_unknown", ClientNoHost: "client_nohost",
	RBL: "rbl", Access: "access", Greylist: "greylist", Pipelining: "pipelining",
	BounceMulti: "bounce_multi", Size: "size", Resources: "resources",
	TLSRequired: "tls_required", MXBackup: "mx_backup", BareLF: "bare_lf",
	ServiceUnavailable: "service_unavailable", ProtocolError: "protocol_error",
	TooManyConnections: "too_many_connections", PortsBusy: "ports_busy",
	MilterText: "milter", OtherReason: "other",
	AuthCredentials: "credentials", AuthMechanism: "mechanism",
	AuthProtocol: "protocol", AuthBackend: "backend",
}

func (r Reason) String() string {
	if r < NumReasons {
		return reasonNames[r]
	}
	return ""
}

// A Stage is the SMTP command or state a line names (WHERE in Postfix).
type Stage uint8

// The stages, named as Postfix logs them.
const (
	NoStage Stage = iota
	StageConnect
	StageHelo
	StageEhlo
	StageStarttls
	StageAuth
	StageMail
	StageRcpt
	StageData
	StageBdat
	StageRset
	StageNoop
	StageVrfy
	StageEtrn
	StageQuit
	StageXclient
	StageXforward
	StageHelp
	StageUnknown
	StageEndOfMessage
	StageDataContent
	StageBdatContent
	StageTLS // "abort: TLS from"
	NumStages
)

var stageNames = [NumStages]string{
	"", "CONNECT", "HELO", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT",
	"RSET", "NOOP", "VRFY", "ETRN", "QUIT", "XCLIENT", "XFORWARD", "HELP", "UNKNOWN",
	"END-OF-MESSAGE", "DATA content", "BDAT content", "TLS",
}

func (s Stage) String() string {
	if s < NumStages {
		return stageNames[s]
	}
	return ""
}
