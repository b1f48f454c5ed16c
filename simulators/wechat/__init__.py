"""A stateful, deterministic stand-in for WeChat Pay v3 (direct merchant): orders, refunds, notices, bills.

`core.WechatCore` is the state machine, `app` serves it with the page a payer sees, `command` is
`estate simulate wechat`. It checks each request's signature and signs its answers and notices as the
original does (RSA-SHA256; resources and certificates sealed with AES-256-GCM under the APIv3 key).
"""
