{{/*
Refuses values that are each well and make no mesh, with what to write instead; all faults at once.
What a single value may be says values.schema.json.
*/}}
{{- define "skewless.check" -}}
{{- $values := .Values -}}
{{- $mesh := include "skewless.mesh" . | fromJson -}}
{{- $facts := .Files.Get "files/components.yaml" | fromYaml -}}
{{- $faults := list -}}

{{- $uses := list -}}
{{- range $mesh.components }}{{ $uses = concat $uses .uses | uniq }}{{ end -}}
{{- $trial := "or write trial=true to have one bundled, for a look" -}}
{{- if and (has "database" $uses) (not $values.trial) (empty $values.database.url.secretName) -}}
{{- $faults = append $faults (printf "database.url.secretName: name the Secret with the URL of PostgreSQL, %s" $trial) -}}
{{- end -}}
{{- if and (has "store" $uses) (not $values.trial) (empty $values.store.url.secretName) -}}
{{- $faults = append $faults (printf "store.url.secretName: name the Secret with the URL of Valkey, %s" $trial) -}}
{{- end -}}
{{- if and (has "broker" $uses) (not $values.trial) (empty $values.broker.address) -}}
{{- $faults = append $faults (printf "broker.address: write host:port of Kafka, %s" $trial) -}}
{{- end -}}
{{- if and (has "lake" $uses) (empty $mesh.lake) -}}
{{- $faults = append $faults "lake.url: write the URL of a bucket, lake.volume.existingClaim a claim, or lake.volume.create=true" -}}
{{- end -}}

{{- if and $values.broker.address (not (regexMatch "^[^,:/@ ]+:[0-9]+(,[^,:/@ ]+:[0-9]+)*$" $values.broker.address)) -}}
{{- $faults = append $faults (printf "broker.address: write host:port, several with commas and no blanks; it is %s" $values.broker.address) -}}
{{- end -}}
{{- if and $values.lake.url (not (regexMatch "^[a-z][a-z0-9]*://[^/@]+" $values.lake.url)) -}}
{{- $faults = append $faults (printf "lake.url: write the URL of a bucket, such as s3://bucket/prefix, without a password; it is %s" $values.lake.url) -}}
{{- end -}}
{{- if and $values.telemetry.otlpEndpoint (not (regexMatch "^https?://[^@]+$" $values.telemetry.otlpEndpoint)) -}}
{{- $faults = append $faults "telemetry.otlpEndpoint: write http://host:port or https://host:port, without user and password" -}}
{{- end -}}

{{- with $values.lake -}}
{{- if and .url (or .volume.existingClaim .volume.create) -}}
{{- $faults = append $faults "lake.url: given together with lake.volume; write one of the two" -}}
{{- end -}}
{{- if and .volume.existingClaim .volume.create -}}
{{- $faults = append $faults "lake.volume.create: given together with lake.volume.existingClaim; write one of the two" -}}
{{- end -}}
{{- if and (not .url) (or .credentials.secretName .env) -}}
{{- $faults = append $faults "lake.credentials and lake.env: are of use with lake.url only; write that, or remove them" -}}
{{- end -}}
{{- end -}}

{{- range $variable, $_ := $values.lake.env -}}
{{- if regexMatch "SECRET|TOKEN|PASSWORD|ACCOUNT_KEY" $variable -}}
{{- $faults = append $faults (printf "lake.env.%s: is a secret; name the Secret that has it as lake.credentials.secretName" $variable) -}}
{{- end -}}
{{- end -}}
{{- if and $values.networkPolicy.egress.enabled (not $values.networkPolicy.enabled) -}}
{{- $faults = append $faults "networkPolicy.enabled: write true as well, since networkPolicy.egress.enabled is; without it there are no policies" -}}
{{- end -}}
{{- range $labels := append (pluck "podLabels" $values.defaults) $values.commonLabels -}}
{{- range $label, $_ := $labels -}}
{{- if or (hasPrefix "app.kubernetes.io/" $label) (eq "helm.sh/chart" $label) -}}
{{- $faults = append $faults (printf "commonLabels, podLabels: %s is the chart's own; take another label" $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if and $values.access.clientCa.secretName (empty $values.access.tls.secretName) -}}
{{- $faults = append $faults "access.tls.secretName: name the Secret with the certificate of online, since access.clientCa is given" -}}
{{- end -}}

{{- if and $mesh.bundled.store (or $values.store.ca.secretName $values.store.certificate.secretName) -}}
{{- $faults = append $faults "store.url.secretName: name the Secret with the URL of Valkey, since store.ca or store.certificate is given; the bundled one has no TLS" -}}
{{- end -}}

{{- with $values.broker -}}
{{- $sasl := hasPrefix "SASL" .protocol -}}
{{- if and $sasl (empty .credentials.secretName) -}}
{{- $faults = append $faults (printf "broker.credentials.secretName: name the Secret with user and password, since broker.protocol is %s" .protocol) -}}
{{- else if and (not $sasl) .credentials.secretName -}}
{{- $faults = append $faults (printf "broker.protocol: write SASL_SSL or SASL_PLAINTEXT, since broker.credentials are given; it is %s" .protocol) -}}
{{- end -}}
{{- if and .ca.secretName (not (hasSuffix "SSL" .protocol)) -}}
{{- $faults = append $faults (printf "broker.protocol: write SSL or SASL_SSL, since broker.ca is given; it is %s" .protocol) -}}
{{- end -}}
{{- if and $mesh.bundled.broker (or (ne .protocol "PLAINTEXT") .credentials.secretName .ca.secretName) -}}
{{- $faults = append $faults "broker.address: write host:port of Kafka, since broker.protocol, credentials or ca are given; the bundled one has none" -}}
{{- end -}}
{{- end -}}

{{- range $name, $component := $mesh.components -}}
{{- $place := printf "components.%s" $name -}}
{{- range $component.calls -}}
{{- if and $component.service (not (hasKey $mesh.components .)) -}}
{{- $faults = append $faults (printf "components.%s.enabled: write true, since %s calls it; or %s.enabled=false" . $name $place) -}}
{{- end -}}
{{- end -}}
{{- if and (not $component.scales) (gt (int $component.replicas) 1) -}}
{{- $faults = append $faults (printf "%s.replicas: write 1, since %s; it is %v" $place $component.single $component.replicas) -}}
{{- end -}}
{{- with $component.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- $faults = append $faults (printf "%s.autoscaling.maxReplicas: write at least minReplicas, which is %v" $place .minReplicas) -}}
{{- end -}}
{{- if and .enabled (not (dig "requests" "cpu" "" $component.resources)) -}}
{{- $faults = append $faults (printf "%s.resources.requests.cpu: write it, since autoscaling measures CPU by it" $place) -}}
{{- end -}}
{{- end -}}
{{- if $component.scales -}}
{{- with $component.rollingUpdate -}}
{{- if and (eq (toString .maxUnavailable | trimSuffix "%") "0") (eq (toString .maxSurge | trimSuffix "%") "0") -}}
{{- $faults = append $faults (printf "%s.rollingUpdate: write maxSurge or maxUnavailable of at least 1, or nothing can be renewed" $place) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $component.extraEnv -}}
{{- if hasPrefix "SKEWLESS_" .name -}}
{{- $faults = append $faults (printf "%s.extraEnv: write %s as a setting under %s.settings, or, if it is a secret, where its Secret is named" $place .name $place) -}}
{{- end -}}
{{- end -}}
{{- if $component.service -}}
{{- $needs := add (int $component.drainSeconds) (include "skewless.graceSeconds" (dict "component" $component) | int) -}}
{{- if le (int $component.terminationGracePeriodSeconds) (int $needs) -}}
{{- $faults = append $faults (printf "%s.terminationGracePeriodSeconds: write more than %v, the seconds of draining and of what the process has to end; it is %v" $place $needs $component.terminationGracePeriodSeconds) -}}
{{- end -}}
{{- $reserved := $.Files.Get "files/reserved.yaml" | fromYaml -}}
{{- range $key, $_ := mergeOverwrite (deepCopy $values.settings) $component.settings -}}
{{- if hasKey $reserved $key -}}
{{- $faults = append $faults (printf "%s.settings.%s: is not for settings; %s" $place $key (index $reserved $key)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $component.data -}}
{{- if and .existingClaim .size -}}
{{- $faults = append $faults (printf "%s.data.size: given together with existingClaim; write one of the two" $place) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- with $values.networkPolicy -}}
{{- if and .enabled .egress.enabled -}}
{{- range $use := $uses -}}
{{- $outside := not (index $mesh.bundled $use) -}}
{{- if eq $use "lake" }}{{ $outside = eq $mesh.lake "url" }}{{ end -}}
{{- if and $outside (empty (index $values.networkPolicy.egress.to $use)) -}}
{{- $faults = append $faults (printf "networkPolicy.egress.to.%s: write where it is as egress rules, or nothing reaches it" $use) -}}
{{- end -}}
{{- end -}}
{{- if and $values.telemetry.otlpEndpoint (empty .egress.to.telemetry) -}}
{{- $faults = append $faults "networkPolicy.egress.to.telemetry: write where telemetry.otlpEndpoint is as egress rules, or nothing reaches it" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if $faults -}}
{{- fail (printf "\n\nThese values make no mesh:\n  %s\n" (join "\n  " $faults)) -}}
{{- end -}}
{{- end -}}
